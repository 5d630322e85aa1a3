"""The HTML of a data set check: one section, to be placed in the report's document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from pipeline.report.page_templates import render_template
from pipeline.report.sentences.health_lines import describe_condition


def render_health_section(health: Mapping[str, Any]) -> Markup:
    """Return the result of `pipeline.data.quality.dataset_health` as HTML; all text is escaped."""
    conditions = [
        {"text": describe_condition(condition), "passed": condition["passed"]}
        for condition in health["conditions"]
    ]
    return render_template("health_page.html", health=health, conditions=conditions)
