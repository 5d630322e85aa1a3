"""The conditions of the verdict with their values, and the open questions."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.domain.statuses import GateCondition
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.comparison_sentences import SubsetNames
from pipeline.report.sentences.conditions.arrival_sentences import format_evidence
from pipeline.report.sentences.gate_sentences import (
    compose_headline,
    describe_caveat_row,
    describe_condition,
)
from pipeline.report.sentences.number_format import (
    format_number,
    format_percent,
    format_points,
    set_minus_signs,
)
from pipeline.report.sentences.verdict_rows import (
    choose_outcome_text,
    describe_levels,
    has_unnamed_cause,
    list_subset_names,
)

TITLE = "Conditions of the verdict"
TAB = "Details"
_PROBABILITY_CONDITIONS = {  # their value is the probability of a loss
    GateCondition.NO_CLASS_WORSE,
    GateCondition.NO_SLICE_WORSE,
    GateCondition.NO_HARM_OUTSIDE,
    GateCondition.ARRIVALS_NO_HARM,
}
_EVIDENCE_CONDITIONS = {GateCondition.ARRIVALS_GAIN, GateCondition.ARRIVALS_NOT_WORSE}
_STATUSES = {True: ("held", "met"), False: ("failed", "not met"), None: ("unknown", "not judged")}


def render(page: ReportPage) -> Markup:
    """Return a table of the conditions, then one of the open questions and their deciders."""
    verdict, outcome = page["verdict"], page["comparison"].get("outcome")
    names = list_subset_names(page)
    conditions = [_describe_condition(names, condition) for condition in verdict["conditions"]]
    return render_template(
        "verdict_conditions.html",
        outcome_text=choose_outcome_text(verdict["promoted"], outcome),
        headline=set_minus_signs(compose_headline(verdict, names).detail),
        conditions=conditions,
        failed_conditions=[item for item in conditions if item["status_class"] == "failed"],
        levels=describe_levels(page) if page.has_targeted_arm else "",
        has_unnamed_cause=has_unnamed_cause(page),
        unjudged=[describe_caveat_row(limit, names) for limit in verdict["limits"]],
    )


def _describe_condition(names: SubsetNames, condition: dict[str, Any]) -> dict[str, Any]:
    status_class, status_text = _STATUSES[condition["passed"]]
    text = describe_condition(condition, names)
    value, threshold = condition["value"], condition["threshold"]
    is_share = any(x is not None and not float(x).is_integer() for x in (value, threshold))
    is_probability = condition["condition"] in _PROBABILITY_CONDITIONS
    format_value = format_points if is_share else format_number
    format_value = format_percent if is_probability else format_value
    shown, least = format_value(value), format_value(threshold)
    if condition["condition"] in _EVIDENCE_CONDITIONS:
        shown, least = format_evidence(value), format_evidence(threshold)
    return {
        "status_class": status_class,
        "status_text": status_text,
        "name": text.name,
        "value": shown,
        "threshold": least,
        "reason": set_minus_signs(text.reason),
        "evidence_link": text.evidence_link,
    }
