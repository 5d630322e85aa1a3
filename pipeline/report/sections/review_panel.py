"""Decisions of reviewers: slices accepted or muted, labels marked wrong or right, and notes."""

from __future__ import annotations

from markupsafe import Markup

from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage

TITLE = "Review decisions"
TAB = "Images"


def render(page: ReportPage) -> Markup:
    """Return the decisions of earlier runs; the script adds those in this browser."""
    return render_template(
        "review_panel.html",
        slices=list(page.reviews.get("slices", {}).values()),
        labels=list(page.reviews.get("labels", {}).values()),
        queue_length=len(page.thumbnails.select_stored(page["label_issues"]["image_id"])),
    )
