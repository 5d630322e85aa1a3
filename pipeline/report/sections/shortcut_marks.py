"""Shortcuts of the model: captions, logos and borders, with a grid of covered patches."""

from __future__ import annotations

import json
import math
from typing import Any

from markupsafe import Markup

from pipeline.domain.statuses import SliceStatus
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage, unwrap_rows

TITLE = "Shortcut marks"
TAB = "Slices"
PATCH_SIDE = 30  # units of the SVG's view box


def render(page: ReportPage) -> Markup:
    """Return the marks that images of one class share, and whether the model relies on them."""
    status_order = list(SliceStatus)
    rows = unwrap_rows(page["shortcuts"])
    rows.sort(key=lambda row: status_order.index(row["status"]))
    if not rows:
        return Markup("")
    for row in rows:
        _add_grid(row)
    return render_template("shortcut_marks.html", rows=rows, patch_side=PATCH_SIDE)


def _add_grid(row: dict[str, Any]) -> None:
    """Add the grid's size and patches (x, y, share, whether the mark reaches into the patch)."""
    shares, mark_shares = json.loads(row["grid"]), json.loads(row["mark"])
    side = math.isqrt(len(shares))
    patches = []
    for k, (share, mark_share) in enumerate(zip(shares, mark_shares, strict=True)):
        x, y = PATCH_SIDE * (k % side), PATCH_SIDE * (k // side)
        patches.append((x, y, share, mark_share > 0))
    row["patches"] = patches
    row["size"] = PATCH_SIDE * side
