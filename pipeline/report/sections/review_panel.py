"""What a reviewer decides: slices accepted or muted, labels found wrong, notes; and what was decided before."""

from __future__ import annotations

from markupsafe import Markup

from pipeline.report.report_page import ReportPage, render_template

TITLE = "Your decisions"


def render(page: ReportPage) -> Markup:
    """The decisions of this browser (listed by the page's script), how to hand them on, and those in force."""
    slices, labels = (list(page.reviews.get(kind, {}).values()) for kind in ("slices", "labels"))
    return render_template("review_panel.html", slices=slices, labels=labels)
