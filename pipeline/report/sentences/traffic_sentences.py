"""Sentences about arriving images and the conditions on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.attributes import list_attributes, load_attribute
from pipeline.domain.attribute_values import get_period
from pipeline.domain.statuses import DriftObstacle, NovelSide, UnitBasis
from pipeline.report.sentences.number_format import format_percent, format_probability
from pipeline.report.sentences.untestable_sentences import describe_untestable
from pipeline.slices.finder_constants import CONSTANTS

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
        condition: name, value, limit, exceeded (label, side and value of each finding above the
            limit) and untested_reason, as `evaluate_condition` returns them.
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
            f"{_describe_label(item)} {_format_value(name, item['value'])}".strip()
            for item in condition["exceeded"]
        )
    if value is None:
        return f"not judged: {describe_untestable(condition['untested_reason'])}"
    if name == _COUNTED_CONDITION:
        return _format_value(name, value)
    return f"largest {_format_value(name, value)}" if value else "no change was shown"


def _format_value(name: str, value: float) -> str:
    return f"{value:.2f}" if name == _INDEX_CONDITION else format_percent(value)


def _describe_label(item: Mapping[str, Any]) -> str:
    side = item.get("side")
    return describe_novel_side(item["label"], side) if side else str(item["label"])


def describe_novel_side(attribute: str, side: str) -> str:
    """Return how values of an attribute differ from all known ones: "dark" for a low luminance.

    Args:
        attribute: the attribute; its plug-in may be absent.
        side: a `NovelSide`.
    """
    if side == NovelSide.APART:
        return f"{attribute} unlike any"
    if attribute not in list_attributes():
        return f"{attribute} {side} any"
    low, high = load_attribute(attribute).LOW_HIGH_WORDS
    return str(low if side == NovelSide.BELOW else high)


def _describe_known_range(row: Mapping[str, Any]) -> str:
    """Return the known values that a novel one is compared with."""
    if row["side"] == NovelSide.APART:
        return f"none within {(get_period(row['attribute']) or 0) / 24:g}"
    comparative = "more" if row["side"] == NovelSide.BELOW else "less"
    text = f"{row['known_bound']} or {comparative}"
    if row["stray"]:
        text += f", but for {row['stray']} of {row['known_units']:,} units"
    return text


def describe_unit_basis(basis: str) -> str:
    """Return what counts as one independent observation.

    Args:
        basis: a `UnitBasis`.
    """
    stretches = f"stretches of {CONSTANTS.tracking.stretch_minutes} minutes"
    match UnitBasis(basis):
        case UnitBasis.GROUPS:
            return "groups"
        case UnitBasis.STRETCHES:
            return stretches
        case UnitBasis.GROUPS_AND_STRETCHES:
            return f"groups and {stretches}"
        case UnitBasis.IMAGES:
            return "images, some or all of which have neither group nor time"


_OBSTACLE_TEXTS: Mapping[str, str] = {
    DriftObstacle.NO_CHAMPION: "no champion with data of its own was in force",
    DriftObstacle.NO_NEW_IMAGE: "no image arrived that its run did not have",
}


def add_drift_texts(drift: Mapping[str, Any]) -> dict[str, Any]:
    """Return a comparison with the champion's data, its reasons and novel values in words.

    Args:
        drift: the artifact of that name, or the findings of `nightshift monitor`.

    Returns:
        The same keys; `why` for the reason why nothing was compared; `words` and `where` (the known
        values) of each novel value; each reason, and what the units are, as text.
    """
    novel_values = []
    for row in drift["new"]:
        words = describe_novel_side(row["attribute"], row["side"])
        novel_values.append({**row, "words": words, "where": _describe_known_range(row)})
    described = {
        **drift,
        "why": _OBSTACLE_TEXTS.get(drift["reason"]),
        "new": novel_values,
        "slices": list(map(_add_reason, drift["slices"])),
        "attributes": list(map(_add_reason, drift["attributes"])),
    }
    if "decline" in drift:
        described["decline"] = _add_reason(drift["decline"])
    if drift["reason"] is None:
        known = drift["known"]
        described["basis"] = describe_unit_basis(drift["basis"])
        described["known"] = {**known, "basis": describe_unit_basis(known["basis"])}
    return described


def _add_reason(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tested row with the reason why it was not tested as text."""
    reason = row["reason"]
    return {**row, "reason": None if reason is None else describe_untestable(reason)}


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
