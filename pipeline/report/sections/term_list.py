"""The glossary: each word of the page with its meaning."""

from __future__ import annotations

from markupsafe import Markup

from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.plain.glossary import TERMS

TITLE = "Glossary"
TAB = "Details"


def render(page: ReportPage) -> Markup:
    """Return the terms in the order of the alphabet."""
    return render_template("term_list.html", terms=TERMS)
