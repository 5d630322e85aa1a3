"""Images that retraining fixed or broke, and those that are still misclassified."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.report.figures.contact_sheets import choose_varied_images, list_changed_images
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.reviewing.explorer_filters import list_controls

TITLE = "Changed images"
TAB = "Images"
PREVIEW_IMAGE_COUNT = 12  # two rows of images before anything is opened

_CHANGE_KINDS = (
    ("broken", "Broken", "correct before, misclassified after"),
    ("fixed", "Fixed", "misclassified before, correct after"),
    ("still wrong", "Still wrong", "misclassified before and after"),
)
_MISCLASSIFIED_KIND = ("still wrong", "Misclassified", "the images that the model misclassifies")


def render(page: ReportPage) -> Markup:
    """Return a few images of each kind of change; the script shows the others on demand."""
    if page.flips.empty:
        return Markup("")
    kinds = []
    for change_kind in _CHANGE_KINDS if page.has_targeted_arm else (_MISCLASSIFIED_KIND,):
        kinds.append(_describe_change_kind(page, *change_kind))
    filters, scales = list_controls(page)
    return render_template(
        "changed_images.html",
        kinds=kinds,
        counts={kind["change"]: kind["n"] for kind in kinds},
        has_targeted_arm=page.has_targeted_arm,
        mode=page.thumbnails.mode,
        stored_count=len(page.thumbnails.select_stored(page.flips.index)),
        image_count=len(page.flips),
        filters=filters,
        scales=scales,
    )


def _describe_change_kind(
    page: ReportPage, change: str, heading: str, description: str
) -> dict[str, Any]:
    changed = list_changed_images(page, change)
    stored = page.thumbnails.select_stored(changed)
    has_preview = change != "still wrong" or not page.has_targeted_arm
    undrawn_first = sorted(stored, key=page.thumbnails.is_drawn)
    preview_count = PREVIEW_IMAGE_COUNT if has_preview else 0
    images = []
    for image_id in choose_varied_images(page, undrawn_first, preview_count):
        flip = page.flips_by_image[image_id]
        alt_text = f"{flip['label']}: {flip['before']} before, {flip['after']} after"
        thumbnail = page.thumbnails.draw_thumbnail(image_id, alt_text)
        images.append({**flip, "thumbnail": thumbnail, "alt_text": alt_text})
    return {
        "change": change,
        "heading": heading,
        "description": description,
        "n": len(changed),
        "images": images,
    }
