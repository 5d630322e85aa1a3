"""Fixed, broken, still wrong: the images whose answer the repair changed, and those it did not reach."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.report.contact_sheets import choose_varied_images, list_changed_images
from pipeline.report.report_page import ReportPage, render_template

TITLE = "Fixed and broken"
PREVIEW_IMAGE_COUNT = 12  # images shown before anything is opened

_CHANGE_KINDS = (
    ("broken", "Broken", "right before, misread now"),
    ("fixed", "Fixed", "misread before, right now"),
    ("still wrong", "Still wrong", "misread before and now"),
)


def render(page: ReportPage) -> Markup:
    """The changed images: a few at once, all that the page carries when opened."""
    if page.flips.empty:
        return Markup("")
    kinds = [
        _describe_change_kind(page, *kind)
        for kind in _CHANGE_KINDS
        if page.has_repaired_model or kind[0] == "still wrong"
    ]
    return render_template(
        "changed_images.html",
        kinds=kinds,
        changed=page.has_repaired_model,
        mode=page.thumbnails.mode,
        count={k["key"]: k["n"] for k in kinds},
        shown=len(page.thumbnails.select_stored(page.flips.index)),
        total=len(page.flips),
    )


def _describe_change_kind(
    page: ReportPage, change: str, heading: str, meaning: str
) -> dict[str, Any]:
    every = list_changed_images(page, change)
    known = page.thumbnails.select_stored(every)
    few = 0 if change == "still wrong" and page.has_repaired_model else PREVIEW_IMAGE_COUNT
    first = choose_varied_images(page, sorted(known, key=page.thumbnails.is_drawn), few)
    said = [page.flips_by_image[image_id] for image_id in first]
    alts = [f"{a['label']}: {a['before']} before, {a['after']} after" for a in said]
    shown = [
        {"img": page.thumbnails.draw_thumbnail(i, alt), "told": alt, **a}
        for i, alt, a in zip(first, alts, said, strict=True)
    ]
    if not page.has_repaired_model:
        heading, meaning = "Misread", "the images that the model gets wrong"
    return {
        "key": change,
        "word": heading,
        "meaning": meaning,
        "n": len(every),
        "images": shown,
        "known": len(known),
    }
