"""Sentences about images that arrived after a candidate was trained, and were labeled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.report.sentences.conditions.number_phrases import (
    count_gained_images,
    format_gain,
    format_probability,
)


def describe_arrived_gain(facts: Mapping[str, Any]) -> str:
    """Return the gain that arrived images of the planned slices show."""
    gain = "no image of the slices with a remedy"
    if facts["gain"] is not None:
        gain = f"{format_gain(facts['gain'])} over the model in force"
    groups = f"{facts['inside_groups']:,} new groups of the slices with a remedy"
    return f"{gain} on {groups}, {facts['labels']:,} labels; {describe_evidence(facts)}"


def describe_arrived_safety(facts: Mapping[str, Any]) -> str:
    """Return whether arrived images exclude a loss overall."""
    loss = f"a loss of {100 * facts['margin']:.0f} point or more over all images"
    return f"against {loss}, on {facts['groups']:,} new groups; {describe_evidence(facts)}"


def describe_evidence(facts: Mapping[str, Any]) -> str:
    """Return how strong the evidence is, and how strong it must be.

    >>> describe_evidence({"evidence": 12.3, "needed": 40.0})
    'the evidence is 12, and 40 shows it (chance alone gets there once in 40 times at most)'
    """
    needed = f"{facts['needed']:.0f}"
    return (
        f"the evidence is {format_evidence(facts['evidence'])}, and {needed} shows it "
        f"(chance alone gets there once in {needed} times at most)"
    )


def format_evidence(value: float) -> str:
    """Return an e-value in at most two or three digits.

    >>> format_evidence(1.26), format_evidence(57.3), format_evidence(123456.0)
    ('1.3', '57', 'over 1,000')
    """
    if value > 1000:
        return "over 1,000"
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def describe_arrived_classes(facts: Mapping[str, Any]) -> str:
    """Return the classes that lose among arrived images, or the one most likely to."""
    if not facts["worst"]:
        return "no label of a disagreement came back yet"
    parts = []
    for part in facts["harmed"] or [facts["worst"]]:
        place = " in the slices with a remedy" if part["is_inside"] else ""
        parts.append(
            f"{part['class']}{place}: {format_gain(part['change'])} "
            f"({part['groups']:,} groups with a change); the chance that it loses more than "
            f"{100 * facts['margin']:.0f} points is {format_probability(part['loss_probability'])}"
        )
    return "; ".join(parts)


def describe_arrivals_verdict(arrivals: Mapping[str, Any], is_promoted: bool) -> str:
    """Return what arrived images decided, in one sentence.

    Args:
        arrivals: the record of an `ArrivalVerdict`.
        is_promoted: whether the candidate was promoted.
    """
    if arrivals["gain"] is None:
        return "no image of the slices with a remedy has arrived since"
    told = (
        f"of 100 images of the slices with a remedy that arrived since, "
        f"{count_gained_images(arrivals['gain'])} right than with the model in force "
        f"({arrivals['inside_groups']:,} groups, {arrivals['labels']:,} labels)"
    )
    if is_promoted:
        return f"{told}; nobody is shown to be worse off"
    if arrivals["harmed"]:
        return f"{told}, but {arrivals['harmed'][0]['class']} is probably worse off"
    return f"{told}; this does not decide it yet, label more of them"
