"""Marks on which the model leans: captions, logos and borders, with the grid of covered patches."""

from __future__ import annotations

import json
import math
from typing import Any

from markupsafe import Markup

from pipeline.report.report_page import ReportPage, render_template, unwrap_row

TITLE = "Shortcuts"


def render(page: ReportPage) -> Markup:
    """What images of one class share beside the object, and whether the model leans on it; empty where nothing does."""
    rows = [_build_shortcut_row(unwrap_row(row)) for row in page["shortcuts"].to_dict("records")]
    order = ("confirmed", "not confirmed", "not testable")
    return (
        render_template(
            "shortcut_marks.html", rows=sorted(rows, key=lambda row: order.index(row["status"]))
        )
        if rows
        else Markup()
    )


def _build_shortcut_row(row: dict[str, Any]) -> dict[str, Any]:
    shares, mark = json.loads(row["grid"]), json.loads(row["mark"])
    side = math.isqrt(len(shares))
    places = [(30 * (k % side), 30 * (k // side)) for k in range(len(shares))]
    cells = [
        (*spot, share, taken > 0) for spot, share, taken in zip(places, shares, mark, strict=True)
    ]
    return row | {"cells": cells, "size": 30 * side}
