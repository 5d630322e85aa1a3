"""The filters of the image explorer: what its controls offer, and the values of each image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipeline.report.report_page import ReportPage
from pipeline.report.reviewing.explorer_columns import (
    PROBABILITY_COLUMNS,
    build_choices,
    build_scales,
    select_scale_columns,
    select_user_columns,
)

MAX_TITLE_LENGTH = 60  # letters of a slice's title in a list
NO_SLICE = "in no slice"
_DATE_ATTRIBUTE = "day"  # counted in days since 1970, which nobody types
Filter = dict[str, Any]


def order_rows(page: ReportPage) -> list[str]:
    """Return the ids of the images that the page holds, then of the other validation images."""
    stored = list(page.thumbnails.positions)
    return [*stored, *page.flips.index[~page.flips.index.isin(stored)]]


def order_by_need(page: ReportPage) -> list[str]:
    """Return the ids of the validation images in the order of a reviewer's needs.

    Today's failures come first, the least probable label before others. Of each group one image
    comes first, then its second, and so on.
    """
    table = page.flips.sort_values("p_after", kind="stable")
    is_correct = table["label_index"] == table["after_index"]
    turn = table.groupby([is_correct, table["group"]]).cumcount()
    ordered = table.assign(is_correct=is_correct, turn=turn)
    return list(ordered.sort_values(["is_correct", "turn"], kind="stable")["image_id"])


def name_slices(page: ReportPage) -> dict[str, str]:
    """Return a short name of each confirmed slice that no other one has, by slice."""
    names: dict[str, str] = {}
    for row in page.confirmed_slices:
        title = str(row["title"])[:MAX_TITLE_LENGTH]
        is_taken = title in names.values() or title == NO_SLICE
        names[row["slice"]] = f"{title} ({row['slice']})" if is_taken else title
    return names


def build_column_filters(page: ReportPage, rows: list[str]) -> tuple[list[Filter], list[Filter]]:
    """Return the filters by name and by number, see `build_choices` and `build_scales`.

    Args:
        page: the page.
        rows: image ids in the order of the codes.
    """
    user_columns = select_user_columns(page.images).reindex(rows)
    highest = np.asarray(page["answers"]).max(axis=2)
    confidences = pd.DataFrame(highest, index=page.flips.index).reindex(rows)
    flips = page.flips.reindex(rows)
    probabilities = [confidences[0], flips["p_before"], confidences[1], flips["p_after"]]
    shown_count = len(probabilities) if page.has_targeted_arm else 2
    columns = dict(zip(PROBABILITY_COLUMNS[:shown_count], probabilities, strict=False))
    attributes = page["attributes"].set_index("image_id").select_dtypes("number").reindex(rows)
    attributes = attributes.drop(columns=_DATE_ATTRIBUTE, errors="ignore")
    for table, names in (
        (attributes, list(attributes.columns)),
        (user_columns, list(select_scale_columns(user_columns))),
    ):
        columns |= {name: table[name] for name in names}
    return build_choices(user_columns), build_scales(columns)


def list_controls(page: ReportPage) -> tuple[list[Filter], list[Filter]]:
    """Return the lists to choose from (`name`, `values`), and the histograms to draw over."""
    choices, scales = build_column_filters(page, order_rows(page))
    before, after = page.confusion_matrices
    is_label = before.sum(axis=1) > 0
    controls = [{"name": "Label", "values": _select_names(page, is_label)}]
    controls.append({"name": "Before", "values": _select_names(page, before.sum(axis=0) > 0)})
    if page.has_targeted_arm:
        changes = ["fixed", "broken", "still wrong", "still right"]
        controls.insert(0, {"name": "Change", "values": changes})
        controls.append({"name": "After", "values": _select_names(page, after.sum(axis=0) > 0)})
    else:
        controls.insert(0, {"name": "Change", "values": ["still wrong", "still right"]})
    if page.confirmed_slices:
        controls.append({"name": "Slice", "values": [*name_slices(page).values(), NO_SLICE]})
    controls.append({"name": "Label in doubt", "values": ["yes", "no"]})
    controls.append({"name": "Review", "values": ["none", "wrong", "right", "unreadable"]})
    return [*controls, *choices], scales


def _select_names(page: ReportPage, is_used: Any) -> list[str]:
    return [name for name, used in zip(page.class_names, is_used, strict=True) if used]
