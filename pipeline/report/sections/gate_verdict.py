"""The verdict of the gate, with each condition, its value and its threshold."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.domain.statuses import GateCondition
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.comparison_sentences import SubsetNames
from pipeline.report.sentences.conditions.arrival_sentences import format_evidence
from pipeline.report.sentences.conditions.change_rows import build_change_rows
from pipeline.report.sentences.gate_sentences import (
    compose_headline,
    describe_caveat,
    describe_condition,
)
from pipeline.report.sentences.number_format import (
    format_count,
    format_number,
    format_percent,
    format_plugin_name,
    format_points,
    set_minus_signs,
)
from pipeline.report.sentences.verdict_rows import (
    build_comparison_rows,
    choose_banner_class,
    choose_outcome_text,
    describe_levels,
    has_unnamed_cause,
    list_subset_names,
)

TITLE = "Verdict"
HAS_OWN_HEADING = True
MAX_KEY_SLICES = 2  # slices beside the accuracy, if one comparison covers all images
_PROBABILITY_CONDITIONS = {  # their value is the probability of a loss
    GateCondition.NO_CLASS_WORSE,
    GateCondition.NO_SLICE_WORSE,
    GateCondition.NO_HARM_OUTSIDE,
    GateCondition.ARRIVALS_NO_HARM,
}
_EVIDENCE_CONDITIONS = {GateCondition.ARRIVALS_GAIN, GateCondition.ARRIVALS_NOT_WORSE}
_STATUSES = {True: ("held", "held"), False: ("failed", "failed"), None: ("unknown", "not judged")}


def render(page: ReportPage) -> Markup:
    """Return a banner with the outcome, the key figures, and a table of conditions."""
    verdict, outcome = page["verdict"], page["comparison"].get("outcome")
    names = list_subset_names(page)
    conditions = [_describe_condition(names, condition) for condition in verdict["conditions"]]
    headline = set_minus_signs(compose_headline(verdict, names).detail)
    return render_template(
        "gate_verdict.html",
        outcome_text=choose_outcome_text(verdict["promoted"], outcome),
        banner_class=choose_banner_class(verdict["promoted"], outcome),
        headline=headline,
        data_faults=page.data_faults,
        conditions=conditions,
        failed_conditions=[item for item in conditions if item["status_class"] == "failed"],
        key_figures=_build_key_figures(page),
        change=_describe_change(page) if page.has_targeted_arm else "",
        levels=describe_levels(page) if page.has_targeted_arm else "",
        has_unnamed_cause=has_unnamed_cause(page),
        limits=[describe_caveat(limit, names) for limit in verdict["limits"]],
        changed_parts=build_change_rows(page["comparison"], names),
        class_margin=page["comparison"]["margins"]["by_class"],
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


def _describe_treatments(page: ReportPage) -> str:
    """Return the remedies of the plan, "exposure or exposure drawn by the simulator gate"."""
    pairs = page["plan"][["remedy", "simulator"]].drop_duplicates().fillna("").astype("str")
    names = []
    for row in pairs.sort_values("simulator", kind="stable").itertuples():
        drawn = f" drawn by the simulator {row.simulator}" if row.simulator else ""
        names.append(format_plugin_name(row.remedy) + drawn)
    return " or ".join(names)


def _describe_change(page: ReportPage) -> str:
    """Return the treatment, and the number of validation images that it fixed and broke."""
    plan, changes = page["plan"], page.flips["change"]
    image_count = int(plan["image_id"].nunique())
    treated = format_count(
        image_count, "training image was also seen", "training images were also seen"
    )
    fixed, broken = int((changes == "fixed").sum()), int((changes == "broken").sum())
    text = (
        f"{treated} with {_describe_treatments(page)}; "
        f"of {format_count(len(changes), 'validation image')}, "
        f"{fixed:,} were fixed and {broken:,} broken"
    )
    if plan["simulator"].notna().any():
        text += "; no simulated image is in validation or test"
    return text


def _build_key_figures(page: ReportPage) -> list[dict[str, Any]]:
    """Return the two or three figures of the banner: accuracy, then the slices with a remedy."""
    rows = build_comparison_rows(page)
    if not rows:
        return []
    rows = [row for row in rows if row["split"] == rows[0]["split"]]
    figures = [row for row in rows if row["subset_kind"] in ("all", "planned")]
    if len(figures) == 1 and page.has_targeted_arm:
        slice_rows = [row for row in rows if row["subset_kind"] == "slice"]
        figures += slice_rows[:MAX_KEY_SLICES]
    for row in figures:
        name = "Accuracy" if row["subset_kind"] == "all" else row["name"]
        row["name"] = f"{name}, {row['split_title'].lower()}"
    return figures
