"""What the plan makes of training images: an original beside treated copies, and how these compare with the slice."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.report import charts as c
from pipeline.report.number_format import format_number, format_plugin_name, set_minus_signs
from pipeline.report.report_page import AugmentationPreview, ReportPage, render_template

TITLE = "What it was trained on"
_COMPARED_SOURCES = (
    ("slice", "the slice"),
    ("training", "training images"),
    ("treated", "treated copies"),
)


def render(page: ReportPage) -> Markup:
    """One row of pictures and one table of measures for each slice and remedy of the plan."""
    if not page.previews:
        return Markup("")
    words = {row["slice"]: row["title"] for row in page.slices}
    shown = [
        _describe_preview(page, preview, words.get(preview.slice, preview.slice))
        for preview in page.previews
    ]
    simulated = any(preview.simulator for preview in page.previews)
    images = int(page["plan"]["image_id"].nunique())
    return render_template(
        "augmentation_examples.html",
        previews=shown,
        images=images,
        who=_COMPARED_SOURCES,
        simulated=simulated,
    )


def _describe_preview(
    page: ReportPage, preview: AugmentationPreview, slice_title: str
) -> dict[str, Any]:
    path = str(page.images.loc[preview.original_id, "path"])
    remedy = format_plugin_name(preview.remedy)
    strengths = [(set_minus_signs(strength), pixels) for strength, pixels in preview.treated_copies]
    copies = [
        (strength, page.thumbnails.draw_static_image(pixels, f"{remedy}, {strength}"))
        for strength, pixels in strengths
    ]
    return {
        "slice": preview.slice,
        "title": slice_title,
        "remedy": f"{remedy}, simulated" if preview.simulator else remedy,
        "simulator": preview.simulator,
        "original": page.thumbnails.draw_thumbnail(preview.original_id, path),
        "copies": copies,
        "rows": [
            _build_attribute_row(row) for row in preview.attribute_quartiles.to_dict("records")
        ],
        "n": preview.measured_counts,
        "nearer": _list_nearer_attributes(preview),
    }


def _build_attribute_row(row: dict[Any, Any]) -> dict[str, Any]:
    """An attribute's quartiles in words, and the three middle halves as bars on one line."""
    ends = [float(row[f"{who}_{k}"]) for who, _ in _COMPARED_SOURCES for k in ("low", "high")]
    axis = c.ChartAxis(min(ends), max(ends), [], "")
    bars = []
    for who, _ in _COMPARED_SOURCES:
        low, mid, high = (
            axis.scale_value(float(row[f"{who}_{k}"]), 2, 198) for k in ("low", "mid", "high")
        )
        bars.append({"x": low, "width": max(round(high - low, 1), 1.0), "mid": mid})
    said = {
        who: f"{format_number(row[f'{who}_mid'])} ({format_number(row[f'{who}_low'])} to {format_number(row[f'{who}_high'])})"
        for who, _ in _COMPARED_SOURCES
    }
    return {"name": format_plugin_name(str(row["attribute"])), "bars": bars, **said}


def _list_nearer_attributes(preview: AugmentationPreview) -> list[str]:
    """The attributes, at most three, in which treatment brought training images clearly nearer to the slice, by how
    much: from more than half of the slice's own spread away to less than half as far as before."""
    table = preview.attribute_quartiles
    spread = (table["slice_high"] - table["slice_low"]).clip(lower=1e-9)
    before = (table["training_mid"] - table["slice_mid"]).abs() / spread
    after = (table["treated_mid"] - table["slice_mid"]).abs() / spread
    won = table.assign(won=before - after)[(before > 0.5) & (after < before / 2)]
    return [
        format_plugin_name(str(name))
        for name in won.sort_values("won", ascending=False)["attribute"].head(3)
    ]
