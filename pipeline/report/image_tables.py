"""The tables beside the page: every validation image, and the failures for a spreadsheet."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.report.report_page import RankedClasses, ReportPage

_FLIP_COLUMNS = [
    "image_id",
    "label",
    "before",
    "control",
    "after",
    "change",
    "p_before",
    "p_after",
    "group",
]


def build_image_table(page: ReportPage) -> pd.DataFrame:
    """Return one row for each validation image: predictions, slices, attributes, map position.

    Columns: image_id, path, label, before, control, after, change, p_before, p_after, group,
    captured_at, slices (joined by ";"), top3_before and top3_after ("class 0.91; ..."), map_x and
    map_y (NaN off the map), then the attributes.
    """
    table = page.flips[_FLIP_COLUMNS].reset_index(drop=True)
    ids = table["image_id"]
    slices = _join_slice_names(page)
    slice_texts, top_before, top_after, positions = [], [], [], []
    for image_id in ids:
        before, after = page.top_predictions[image_id]
        slice_texts.append(slices.get(image_id, ""))
        top_before.append(_format_top_predictions(page, before))
        top_after.append(_format_top_predictions(page, after))
        positions.append(page.map_positions.get(image_id, (np.nan, np.nan)))
    coordinates = np.array(positions, dtype=float).reshape(-1, 2)
    table = table.assign(
        path=page.images["path"].reindex(ids).to_numpy(),
        captured_at=page.images["captured_at"].reindex(ids).to_numpy(),
        slices=slice_texts,
        top3_before=top_before,
        top3_after=top_after,
        map_x=coordinates[:, 0],
        map_y=coordinates[:, 1],
    )
    attributes = page["attributes"].set_index("image_id").reindex(ids).reset_index(drop=True)
    return table.join(attributes)


def _join_slice_names(page: ReportPage) -> dict[str, str]:
    """Return the names of an image's slices, joined by ";", by image id."""
    names: dict[str, list[str]] = {}
    for name, members in page.slice_members.items():
        for image_id in members:
            names.setdefault(image_id, []).append(name)
    return {image_id: ";".join(sorted(members)) for image_id, members in names.items()}


def _format_top_predictions(page: ReportPage, ranked: RankedClasses) -> str:
    return "; ".join(f"{page.class_names[index]} {share:.3f}" for index, share in ranked)


def select_failures(image_table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are misclassified before or after, worst first.

    Args:
        image_table: see `build_image_table`.
    """
    failures = image_table[image_table["change"] != "still right"]
    return failures.sort_values(["change", "p_after"], kind="stable")
