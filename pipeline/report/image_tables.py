"""The tables beside the page: every validation image as the page tells it, and the failures as a spreadsheet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipeline.report.report_page import ReportPage


def build_image_table(page: ReportPage) -> pd.DataFrame:
    """One row for each validation image: what was said before and after, its slices, attributes, place on the map.

    Columns image_id, path, label, before, control, after, change, p_before, p_after, group, captured_at, slices
    (joined by ";"), top3_before and top3_after ("class 0.91; ..."), map_x, map_y (NaN off the map), the attributes.
    """
    flips, images = page.flips, page.images
    said = [
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
    table = flips[said].reset_index(drop=True)
    ids = table["image_id"]
    inside: dict[str, list[str]] = {}
    for name, members in page.slice_members.items():
        for image_id in members:
            inside.setdefault(image_id, []).append(name)
    spots = np.array(
        [page.map_positions.get(i, (np.nan, np.nan)) for i in ids], dtype=float
    ).reshape(-1, 2)
    extra: dict[str, Any] = {
        "path": images["path"].reindex(ids).to_numpy(),
        "captured_at": images["captured_at"].reindex(ids).to_numpy(),
        "slices": [";".join(sorted(inside.get(i, []))) for i in ids],
        "top3_before": [_format_top_predictions(page, i, 0) for i in ids],
        "top3_after": [_format_top_predictions(page, i, 1) for i in ids],
        "map_x": spots[:, 0],
        "map_y": spots[:, 1],
    }
    values = page["attributes"].set_index("image_id").reindex(ids).reset_index(drop=True)
    return table.assign(**extra).join(values)


def _format_top_predictions(page: ReportPage, image_id: str, model_index: int) -> str:
    return "; ".join(
        f"{page.class_names[k]} {share:.3f}"
        for k, share in page.top_predictions[image_id][model_index]
    )


def select_failures(image_table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a `image_table` that are misread before or after, worst first; text that a spreadsheet would run as a
    formula gets an apostrophe before it.

    Source: OWASP, CSV injection.
    """
    wrong = image_table[image_table["change"] != "still right"].sort_values(
        ["change", "p_after"], kind="stable"
    )
    text = [
        c
        for c in wrong.columns
        if not pd.api.types.is_numeric_dtype(wrong[c]) and c != "captured_at"
    ]
    safe: dict[str, Any] = {c: [_escape_formula(v) for v in wrong[c]] for c in text}
    return wrong.assign(**safe)


def _escape_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
