"""Where the errors are instead, if no slice was confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from pipeline.report.figures.contact_sheets import choose_varied_images
from pipeline.report.figures.error_examples import (
    MAX_EXAMPLES,
    list_error_pairs,
    list_least_certain,
    list_unlike_training,
)
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage

TITLE = "Where the errors are"
TAB = "Verdict"


def render(page: ReportPage) -> Markup:
    """Return the confused classes, the least certain images and those unlike training images."""
    if page.confirmed_slices or not page.is_misclassified.any():
        return Markup("")
    pairs = []
    for label, prediction, image_ids in list_error_pairs(page):
        shown = choose_varied_images(page, page.thumbnails.select_stored(image_ids), MAX_EXAMPLES)
        row = {"label": label, "prediction": prediction, "n": len(image_ids)}
        pairs.append(row | {"images": _draw_images(page, [(i, None) for i in shown])})
    return render_template(
        "error_overview.html",
        pairs=pairs,
        uncertain=_draw_images(page, list_least_certain(page)),
        unlike=_draw_images(page, list_unlike_training(page)),
        unconfirmed_count=len(page.slices),
    )


def _draw_images(
    page: ReportPage, examples: Sequence[tuple[str, float | None]]
) -> list[dict[str, Any]]:
    drawn = []
    for image_id, value in examples:
        flip = page.flips_by_image[image_id]
        text = f"{flip['label']}, predicted as {flip['before']}"
        thumbnail = page.thumbnails.draw_thumbnail(image_id, text)
        drawn.append({**flip, "thumbnail": thumbnail, "value": value, "alt_text": text})
    return drawn
