"""What a reviewer decides: slices accepted or muted, labels found wrong, notes; and what was decided before."""

from __future__ import annotations

from markupsafe import Markup

from pipeline.sections import Page, draw

TITLE = "Your decisions"


def review(page: Page) -> Markup:
    """The decisions of this browser (listed by the page's script), how to hand them on, and those in force."""
    slices, labels = (list(page.reviews.get(kind, {}).values()) for kind in ("slices", "labels"))
    return draw("review.html", slices=slices, labels=labels)
