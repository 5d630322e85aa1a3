"""What each step of the remedy added, on validation images that it was not trained on."""

from __future__ import annotations

from markupsafe import Markup

from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.conditions.ladder_sentences import (
    build_ladder_rows,
    describe_real_images,
)

TITLE = "Steps of the remedy"
TAB = "Verdict"


def render(page: ReportPage) -> Markup:
    """Return a table of the steps, each with its gain and its interval."""
    comparison = page["comparison"]
    rows = build_ladder_rows(comparison.get("ladder") or [])
    if not rows:
        return Markup("")
    halves = (comparison.get("real_images") or {}).get("halves") or []
    return render_template(
        "remedy_steps.html", rows=rows, real_images=describe_real_images(halves), last_row=rows[-1]
    )
