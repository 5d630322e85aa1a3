"""Conditions of the promotion gate, and limits of its verdict, from the comparison record.

A condition is a record of an id, the numbers behind it and whether it holds; a limit is a record of
an id and its numbers. `pipeline.report.sentences.gate_sentences`
composes sentences about both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.domain.statuses import ComparisonOutcome, GateCondition, GateLimit

Record = Mapping[str, Any]


def evaluate_gate(comparison: Record) -> list[dict[str, Any]]:
    """Return every condition that could be judged, in the order in which they are reported.

    Args:
        comparison: the artifact of that name.

    Returns:
        Records with condition (`GateCondition`), split, slice, value, threshold, passed and facts,
        the numbers behind it.
    """
    counts = comparison["counts"]
    conditions = [
        _build_condition(
            GateCondition.PLANNED_SLICE,
            value=float(counts["planned"]),
            threshold=1.0,
            is_passed=counts["planned"] > 0,
            facts={key: counts[key] for key in ("slices", "confirmed", "planned")},
        )
    ]
    has_targeted_arm = "targeted" in (comparison["val"].get("arms") or {})
    if counts["planned"] and has_targeted_arm:
        conditions += _judge_val(comparison)
        conditions += _judge_test(comparison)
    return conditions


def can_promote(comparison: Record, conditions: list[dict[str, Any]]) -> bool:
    """Return whether the test set was opened and every condition holds."""
    is_tested = comparison["outcome"] == ComparisonOutcome.TESTED
    return is_tested and all(condition["passed"] for condition in conditions)


def list_limits(comparison: Record, other_champion: str | None) -> list[dict[str, Any]]:
    """Return the caveats of the verdict: what it does not show.

    Args:
        comparison: the artifact of that name.
        other_champion: run of the champion in force, if it is another run.

    Returns:
        Records with limit (`GateLimit`) and its numbers.
    """
    limits: list[dict[str, Any]] = []
    if comparison["counts"]["seeds"] == 1:
        limits.append({"limit": GateLimit.SINGLE_SEED})
    for row in comparison["power"]:
        if row["enough"] is False:
            limits.append({"limit": GateLimit.TOO_FEW_GROUPS, **row})
    limits += _list_generic_limits(comparison)
    if comparison.get("costs"):
        limits.append({"limit": GateLimit.WEIGHTED_ERRORS})
    if other_champion:
        limits.append({"limit": GateLimit.OTHER_CHAMPION, "run_id": other_champion})
    return limits


def _build_condition(
    condition: GateCondition,
    *,
    value: float | None,
    threshold: float | None,
    is_passed: bool,
    facts: Record,
    split: str | None = None,
    slice_name: str | None = None,
) -> dict[str, Any]:
    return {
        "condition": condition,
        "split": split,
        "slice": slice_name,
        "value": value,
        "threshold": threshold,
        "passed": is_passed,
        "facts": dict(facts),
    }


def _judge_val(comparison: Record) -> list[dict[str, Any]]:
    val = comparison["val"]
    planned = [item for item in val["slices"] if item["planned"]]
    best = max(planned, key=lambda item: (item["passed"], item["gain"]["bound"] or -1.0))
    return [
        _judge_gain(GateCondition.SLICE_GAIN, "val", best, best["slice"]),
        *_judge_generic_arm("val", val["primary"]),
        *_judge_non_inferiority("val", val["non_inferiority"], comparison["margins"]),
        _judge_outside("val", val["outside"]),
    ]


def _judge_test(comparison: Record) -> list[dict[str, Any]]:
    opening = comparison["opening"]
    opened = _build_condition(
        GateCondition.TEST_OPENED,
        value=opening["number"],
        threshold=None,
        is_passed=bool(opening["opened"]),
        facts={key: opening[key] for key in ("opened", "reason", "ordinal", "alpha")},
    )
    test = comparison["test"]
    if test is None:
        return [opened]
    return [
        opened,
        _judge_gain(GateCondition.PLANNED_GAIN, "test", test["primary"]),
        *_judge_generic_arm("test", test["primary"]),
        *_judge_non_inferiority("test", test["non_inferiority"], comparison["margins"]),
        _judge_outside("test", test["outside"]),
    ]


def _judge_gain(
    condition: GateCondition, split: str, subset: Record, slice_name: str | None = None
) -> dict[str, Any]:
    """Return whether the lower bound of a gain is above zero, over all seeds and for the first."""
    gain = subset["gain"]
    bounds = [gain["bound"], subset["first_seed"]["bound"]]
    bound = gain["bound"] if None in bounds else min(bounds)
    needed = None if subset["passed"] else subset["groups_needed"]
    return _build_condition(
        condition,
        value=bound,
        threshold=0.0,
        is_passed=bool(subset["passed"]),
        split=split,
        slice_name=slice_name,
        facts={
            "mean": gain["mean"],
            "bound": bound,
            "n": subset["n"],
            "groups": subset["groups"],
            "groups_needed": needed,
        },
    )


def _judge_generic_arm(split: str, subset: Record) -> list[dict[str, Any]]:
    """Return whether generic augmentation was not shown to be better; nothing if not trained."""
    gain = subset.get("over_generic")
    if not gain:
        return []
    return [
        _build_condition(
            GateCondition.GENERIC_NOT_BETTER,
            value=gain["high"],
            threshold=0.0,
            is_passed=not _is_harm_shown(gain),
            split=split,
            facts={key: gain[key] for key in ("mean", "low", "high")} | {"n": subset["n"]},
        )
    ]


def _judge_non_inferiority(
    split: str, non_inferiority: Record, margins: Record
) -> list[dict[str, Any]]:
    """Return two conditions: not worse overall, and not worse for any class."""
    overall = non_inferiority["overall"]
    classes = non_inferiority["classes"]
    harmed = [item["class"] for item in classes if item["status"] == "harmed"]
    unjudged_count = sum(item["status"] == "not assessable" for item in classes)
    is_pooled_judged = non_inferiority["pooled_passed"] is not None
    pooled_bound = non_inferiority["pooled"]["bound"] if is_pooled_judged else None
    value: float | None = float(len(harmed))
    threshold = 0.0
    if non_inferiority["pooled_passed"] is False and not harmed:
        value = pooled_bound
        threshold = -margins["by_class"]
    return [
        _build_condition(
            GateCondition.OVERALL_NOT_WORSE,
            value=overall["bound"],
            threshold=-margins["overall"],
            is_passed=non_inferiority["overall_passed"],
            split=split,
            facts={
                "mean": overall["mean"],
                "bound": overall["bound"],
                "margin": margins["overall"],
            },
        ),
        _build_condition(
            GateCondition.NO_CLASS_WORSE,
            value=value,
            threshold=threshold,
            is_passed=non_inferiority["classes_passed"],
            split=split,
            facts={
                "harmed": harmed,
                "unjudged": unjudged_count,
                "classes": len(classes),
                "is_pooled_judged": is_pooled_judged,
                "pooled_bound": pooled_bound,
                "margin": margins["by_class"],
            },
        ),
    ]


def _judge_outside(split: str, subset: Record) -> dict[str, Any]:
    """Return whether harm was shown to images outside the planned slices.

    A difference that cannot be judged does not count as harm.
    """
    gain = subset["gain"]
    return _build_condition(
        GateCondition.NO_HARM_OUTSIDE,
        value=gain["high"],
        threshold=0.0,
        is_passed=not _is_harm_shown(gain),
        split=split,
        facts={key: gain[key] for key in ("mean", "low", "high")} | {"n": subset["n"]},
    )


def _is_harm_shown(gain: Record) -> bool:
    return gain["high"] is not None and gain["high"] < 0


def _list_generic_limits(comparison: Record) -> list[dict[str, Any]]:
    """Return what was not shown against generic augmentation, on the strongest evidence."""
    split = "test" if comparison["test"] else "val"
    subset = comparison[split]["primary"]
    if not subset or not subset["gain"]:
        return []
    gain = subset.get("over_generic")
    if not gain:
        return [{"limit": GateLimit.NO_GENERIC_ARM}]
    if gain["bound"] is not None and gain["bound"] > 0:
        return []
    return [
        {
            "limit": GateLimit.GENERIC_NOT_BEATEN,
            "split": split,
            "mean": gain["mean"],
            "bound": gain["bound"],
        }
    ]
