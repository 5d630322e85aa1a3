"""Whole classes that fail more often than the others, and what to collect for them."""

from __future__ import annotations

from markupsafe import Markup

from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage, unwrap_rows
from pipeline.report.sentences.plain.class_lines import (
    describe_class_confusion,
    describe_class_remedy,
    describe_classes,
)

TITLE = "Classes that fail as a whole"
TAB = "Slices"


def render(page: ReportPage) -> Markup:
    """Return one row for each finding, the most recoverable errors first; nothing without any."""
    rows = unwrap_rows(page["class_slices"])
    for row in rows:
        row |= {
            "subject": describe_classes(row),
            "confusion": describe_class_confusion(row),
            "remedy": describe_class_remedy(row),
        }
    return render_template("weak_classes.html", rows=rows) if rows else Markup("")
