"""Training images beside their treated copies, and how these compare with the slice."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from pipeline.report.figures.charts import ChartAxis
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import AugmentationPreview, ReportPage
from pipeline.report.sentences.number_format import (
    format_number,
    format_plugin_name,
    set_minus_signs,
)

TITLE = "Augmentation examples"
MAX_NAMED_ATTRIBUTES = 3  # attributes that a sentence can hold
# An attribute is named if training images were more than half of the slice's spread (interquartile
# range) away from it, and treated copies are less than half as far.
MIN_SPREADS_BEFORE = 0.5
MAX_REMAINING_SHARE = 0.5
_BAR_START, _BAR_END = 2, 198  # in a view box that is 200 wide
_COMPARED_SOURCES = (  # key, name, CSS class of the bar's color
    ("slice", "the slice", "s0"),
    ("training", "training images", "s2"),
    ("treated", "treated copies", "s1"),
)


def render(page: ReportPage) -> Markup:
    """Return a row of images and a table of attributes for each slice and remedy of the plan."""
    if not page.previews:
        return Markup("")
    titles = {row["slice"]: row["title"] for row in page.slices}
    previews = []
    for preview in page.previews:
        previews.append(_describe_preview(page, preview, titles.get(preview.slice, preview.slice)))
    return render_template(
        "augmentation_examples.html",
        previews=previews,
        image_count=int(page["plan"]["image_id"].nunique()),
        sources=_COMPARED_SOURCES,
        has_simulated=any(preview.simulator for preview in page.previews),
    )


def _describe_preview(
    page: ReportPage, preview: AugmentationPreview, slice_title: str
) -> dict[str, Any]:
    path = str(page.images.loc[preview.original_id, "path"])
    remedy = format_plugin_name(preview.remedy)
    copies = []
    for strength, pixels in preview.treated_copies:
        caption = set_minus_signs(strength)
        image = page.thumbnails.draw_static_image(pixels, f"{remedy}, {caption}")
        copies.append((caption, image))
    quartiles = preview.attribute_quartiles.to_dict("records")
    return {
        "slice": preview.slice,
        "title": slice_title,
        "remedy": f"{remedy}, simulated" if preview.simulator else remedy,
        "simulator": preview.simulator,
        "original_image": page.thumbnails.draw_thumbnail(preview.original_id, path),
        "treated_copies": copies,
        "rows": list(map(_build_attribute_row, quartiles)),
        "measured_counts": preview.measured_counts,
        "nearer_attributes": _list_nearer_attributes(preview.attribute_quartiles),
    }


def _build_attribute_row(quartiles: dict[Any, Any]) -> dict[str, Any]:
    """Return an attribute's quartiles as text, and its interquartile ranges as bars on one axis."""
    ends = []
    for source, _, _ in _COMPARED_SOURCES:
        ends += [float(quartiles[f"{source}_low"]), float(quartiles[f"{source}_high"])]
    axis = ChartAxis(min(ends), max(ends), [], "")
    row: dict[str, Any] = {"name": format_plugin_name(str(quartiles["attribute"])), "bars": []}
    for source, _, css_class in _COMPARED_SOURCES:
        low, high = float(quartiles[f"{source}_low"]), float(quartiles[f"{source}_high"])
        mid = float(quartiles[f"{source}_mid"])
        row[source] = f"{format_number(mid)} ({format_number(low)} to {format_number(high)})"
        start = axis.scale_value(low, _BAR_START, _BAR_END)
        end = axis.scale_value(high, _BAR_START, _BAR_END)
        median = axis.scale_value(mid, _BAR_START, _BAR_END)
        width = max(round(end - start, 1), 1.0)
        bar = {"x": start, "width": width, "median": median, "css_class": css_class}
        row["bars"].append(bar)
    return row


def _list_nearer_attributes(quartiles: pd.DataFrame) -> list[str]:
    """Return the attributes whose treated values are clearly closer to the slice.

    The largest movements come first, in units of the slice's interquartile range.
    """
    spread = (quartiles["slice_high"] - quartiles["slice_low"]).clip(lower=1e-9)
    before = (quartiles["training_mid"] - quartiles["slice_mid"]).abs() / spread
    after = (quartiles["treated_mid"] - quartiles["slice_mid"]).abs() / spread
    is_nearer = (before > MIN_SPREADS_BEFORE) & (after < before * MAX_REMAINING_SHARE)
    table = quartiles.assign(movement=before - after)[is_nearer]
    names = table.sort_values("movement", ascending=False)["attribute"]
    return list(map(format_plugin_name, names.head(MAX_NAMED_ATTRIBUTES).astype(str)))
