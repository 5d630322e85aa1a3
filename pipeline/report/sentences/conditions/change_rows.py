"""Gains and losses of a model by part of the images, in images of a thousand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.domain.gate_conditions import name_arm_in_force
from pipeline.report.sentences.comparison_sentences import PLAIN_NAMES, REFERENCE_NAMES, SubsetNames
from pipeline.report.sentences.conditions.condition_sentences import format_probability, name_part

STATUS_WORDS = {"harmed": "probably worse", "not worse": "not worse", "uncertain": "uncertain"}


def build_change_rows(
    comparison: Mapping[str, Any], names: SubsetNames = PLAIN_NAMES
) -> list[dict[str, Any]]:
    """Return how many of a thousand images each part gets right, before and after.

    The strongest split counts: test if it was opened, else validation. The model before is the
    model in force where that could be compared.

    Args:
        comparison: the artifact of that name.
        names: names of slices and splits.

    Returns:
        Rows with split, reference, kind (class | slice | slice class | others), name, slice, class,
        n, groups, before, after, change (images of a thousand), loss_probability, probability in
        words, status and status_words; empty without a targeted arm.
    """
    split = "test" if comparison["test"] else "val"
    arm = name_arm_in_force(comparison)
    safety = (comparison[split].get("safety") or {}).get(arm)
    if not safety:
        return []
    parts = [("class", part) for part in safety["classes"]]
    for row in safety["slices"]:
        parts.append(("slice", row))
        for part in safety["slice_classes"]:
            if part["slice"] == row["slice"]:
                parts.append(("slice class", part))
    if safety["outside"]:
        parts.append(("others", safety["outside"]))
    shared = {"split": split, "reference": REFERENCE_NAMES[arm]}
    return [{**shared, **_build_row(kind, part, names)} for kind, part in parts]


def _build_row(kind: str, part: Mapping[str, Any], names: SubsetNames) -> dict[str, Any]:
    before, after = round(1000 * part["reference"]), round(1000 * part["treated"])
    return {
        "kind": kind,
        "name": name_part(part, names),
        "slice": part["slice"],
        "class": part["class"],
        "n": part["n"],
        "groups": part["groups"],
        "before": before,
        "after": after,
        "change": after - before,
        "change_words": describe_thousand(after - before),
        "loss_probability": part["loss_probability"],
        "probability": format_probability(part["loss_probability"]),
        "status": part["status"],
        "status_words": STATUS_WORDS[part["status"]],
    }


def describe_thousand(change: int) -> str:
    """Return a change of the correct images of a thousand in words.

    >>> describe_thousand(-12), describe_thousand(0), describe_thousand(40)
    ('12 more wrong', 'as many', '40 more right')
    """
    if change == 0:
        return "as many"
    return f"{change:,} more right" if change > 0 else f"{-change:,} more wrong"
