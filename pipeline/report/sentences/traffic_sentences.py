"""Sentences about arriving images and the conditions on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.report.sentences.number_format import format_percent, format_probability

CONDITION_DESCRIPTIONS: Mapping[str, str] = {
    "max_psi": "attributes that drifted",
    "max_new": "images beyond everything known",
    "max_slice_rise": "slices that grew",
    "max_decline_rise": "rise of the decline rate",
    "max_unreadable": "images that could not be read",
}
"""What each condition limits, by its name."""

# The population stability index is a plain number; all other conditions limit a share of images.
_INDEX_CONDITION = "max_psi"
# This condition is a count of rows, so it is always known.
_COUNTED_CONDITION = "max_unreadable"


def describe_condition(condition: Mapping[str, Any]) -> str:
    """Return a condition on arriving images as one sentence without a full stop.

    Args:
        condition: name, value, limit, exceeded (label and value of each finding above the limit)
            and untested_reason, as `evaluate_condition` returns them.
    """
    name = condition["name"]
    limit = _format_value(name, condition["limit"])
    return (
        f"{CONDITION_DESCRIPTIONS[name]}: {_describe_finding(condition)}; at most {limit} ({name})"
    )


def _describe_finding(condition: Mapping[str, Any]) -> str:
    name, value = condition["name"], condition["value"]
    if condition["exceeded"]:
        return ", ".join(
            f"{item['label']} {_format_value(name, item['value'])}".strip()
            for item in condition["exceeded"]
        )
    if value is None:
        return f"not judged: {condition['untested_reason']}"
    if name == _COUNTED_CONDITION:
        return _format_value(name, value)
    return f"largest {_format_value(name, value)}" if value else "no change was shown"


def _format_value(name: str, value: float) -> str:
    return f"{value:.2f}" if name == _INDEX_CONDITION else format_percent(value)


def format_findings(findings: Mapping[str, Any]) -> list[str]:
    """Return the findings of `nightshift monitor` as lines of text.

    Args:
        findings: as `pipeline.serving.monitoring.traffic_monitoring.monitor_traffic` returns them.
    """
    capture_range = ""
    if findings["taken_from"]:
        capture_range = f", taken {findings['taken_from']} to {findings['taken_to']}"
    known = findings["known"]
    lines = [
        f"{findings['images']:,} images of {findings['rows']:,} rows{capture_range}; "
        f"{findings['units']:,} units ({findings['basis']})",
        f"compared with champion {findings['champion']}: {known['training']:,} images of training, "
        f"{known['validation']:,} of validation",
    ]
    for row in findings["new"]:
        if row["q"] is not None and row["q"] <= findings["alpha"]:
            lines.append(
                f"  {format_percent(row['share'])} are {row['words']} beyond anything known: "
                f"{row['attribute']} {row['low']} to {row['high']} (known: {row['where']})"
                f"{_format_test(row)}"
            )
    for row in findings["slices"]:
        lines.append(f"  slice {row['slice']} ({row['rule']}): {_format_shares(row)}")
    lines.append(f"  declined: {_format_shares(findings['decline'])}")
    for row in findings["attributes"]:
        if row["psi"] is not None:
            median = row["median"]
            lines.append(
                f"  {row['attribute']}: median {median['arrived']}, training {median['training']}, "
                f"validation {median['validation']}, PSI {row['psi']:.2f}{_format_test(row)}"
            )
    if findings["missing"]:
        lines.append(f"  missing from the rows, so not compared: {', '.join(findings['missing'])}")
    for condition in findings["conditions"]:
        outcome = "ok    " if condition["passed"] else "FAILED"
        lines.append(f"{outcome} {describe_condition(condition)}")
    return [*lines, f"next labeling batch: {findings['batch']:,} images"]


def _format_shares(row: Mapping[str, Any]) -> str:
    parts = [format_percent(row["share"])]
    if row["training"] is not None:
        parts.append(f"training {format_percent(row['training'])}")
    parts.append(f"validation {format_percent(row['validation'])}")
    return ", ".join(parts) + _format_test(row)


def _format_test(row: Mapping[str, Any]) -> str:
    if row["q"] is None:
        return f" (not tested: {row['reason']})"
    return f" (q {format_probability(row['q'])})"
