"""Parts of the artifact `comparison`: one split, the outcome, and the power of each test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.domain.statuses import ComparisonOutcome, OpeningReason, PowerQuestion
from pipeline.slices.comparison.comparison_inputs import ComparisonInputs
from pipeline.statistics.gains.harm_assessment import HarmMargins
from pipeline.statistics.model_comparison import Mask, ModelComparison, is_improved
from pipeline.statistics.test_power import build_power_row

OUTCOMES = {
    OpeningReason.NO_FAILURES: ComparisonOutcome.NO_FAILURES,
    OpeningReason.NO_SLICE: ComparisonOutcome.NO_SLICE,
    OpeningReason.NO_PLAN: ComparisonOutcome.NO_PLAN,
    OpeningReason.NO_CANDIDATES: ComparisonOutcome.NO_CANDIDATES,
    OpeningReason.NO_TEST: ComparisonOutcome.NO_TEST,
    OpeningReason.CANNOT_DECIDE: ComparisonOutcome.PROMISING_ON_VAL,
    OpeningReason.NO_GAIN_ON_VAL: ComparisonOutcome.REFUSED_ON_VAL,
    OpeningReason.HARM_ON_VAL: ComparisonOutcome.REFUSED_ON_VAL,
    OpeningReason.USED_UP: ComparisonOutcome.USED_UP,
    OpeningReason.VAL_PASSED: ComparisonOutcome.TESTED,
    OpeningReason.OPENED_BEFORE: ComparisonOutcome.TESTED,
}
"""Outcome of the comparison by the reason why the test set was opened or stays sealed."""


def build_split_record(
    comparison: ModelComparison, planned_slices: Sequence[str], alpha: float, margins: HarmMargins
) -> dict[str, Any]:
    """Return the comparison of one split.

    Args:
        comparison: the models on that split.
        planned_slices: slices that training images were treated for.
        alpha: level of the bounds.
        margins: losses that do not count as worse.

    Returns:
        The record with `primary` (the planned slices together) and `outside` (all other images);
        both are None without a planned slice.
    """
    record = comparison.build_record(alpha)
    for row in record["slices"]:
        row["planned"] = row["slice"] in planned_slices
    if not planned_slices:
        safety = comparison.build_safety_record(None, margins)
        return {**record, **safety, "primary": None, "outside": None}
    is_planned = np.logical_or.reduce([comparison.slice_masks[name] for name in planned_slices])
    return {
        **record,
        **comparison.build_safety_record(~is_planned, margins),
        "primary": comparison.compare_subset(is_planned, alpha, is_balanced=True),
        "outside": comparison.compare_subset(~is_planned, alpha),
    }


def judge_val_record(record: Mapping[str, Any], arm_in_force: str) -> dict[str, Any]:
    """Return the validation record with `gained`, the planned slices that gain, and `passed`.

    Validation is a screen before the sealed test set is used: a planned slice must gain over the
    control, and no loss may show. Gains are to be shown on test.

    Args:
        record: the record of the validation set.
        arm_in_force: the arm that the candidate would replace.
    """
    gained = []
    for row in record["slices"]:
        if row["planned"] and row["over"]:
            is_gained = is_improved(row["over"], arm_in_force, is_screening=True)
            gained += [row["slice"]] if is_gained else []
    is_safe = all(safety["screened"] for safety in record["safety"].values())
    return {**record, "gained": gained, "passed": bool(gained and is_safe)}


def find_sealing_reason(
    inputs: ComparisonInputs,
    comparison: ModelComparison,
    val_record: Mapping[str, Any],
    foreseen: Mapping[str, Any] | None,
    min_power: float,
) -> OpeningReason | None:
    """Return why the test set stays sealed, or None if it may be opened.

    Args:
        inputs: artifacts of the comparison.
        comparison: the models on validation.
        val_record: their record, see `judge_val_record`.
        foreseen: what the test can show, see `foresee_test`; None if it is unknown.
        min_power: lowest probability of showing the gain with which the test is opened.
    """
    if not inputs.confirmed_slices:
        has_no_errors = comparison.compute_correctness("before").all()
        return OpeningReason.NO_FAILURES if has_no_errors else OpeningReason.NO_SLICE
    if not inputs.planned_slices:
        return OpeningReason.NO_PLAN
    if not comparison.has_comparison_arms:
        return OpeningReason.NO_CANDIDATES
    if not val_record["passed"]:
        has_gain = bool(val_record["gained"])
        return OpeningReason.HARM_ON_VAL if has_gain else OpeningReason.NO_GAIN_ON_VAL
    if not len(inputs.test_rows):
        return OpeningReason.NO_TEST
    if foreseen and foreseen["power"] < min_power:
        return OpeningReason.CANNOT_DECIDE
    return None


def foresee_test(
    inputs: ComparisonInputs,
    comparison: ModelComparison,
    val_record: Mapping[str, Any],
    admitted: Mapping[str, Mask],
    alpha: float,
) -> dict[str, Any] | None:
    """Return what the sealed test can show about the planned slices, as validation foretells it.

    The rules of the slices are applied to test images; no model is.

    Args:
        inputs: artifacts of the comparison.
        comparison: the models on validation.
        val_record: their record.
        admitted: by slice, test images that its rule admits, see `find_admitted_rows`.
        alpha: level of the opening.

    Returns:
        val_before and val_after, the shares of validation images right before and after, each class
        counted alike; images and groups of the planned slices on test; power, the probability that
        they show the gain of validation; detectable, the smallest gain that they show with a power
        of 80 %, None if none; groups_needed for that power, None if no number would do. None
        without arms, or if a rule needs pixels.
    """
    planned = inputs.planned_slices
    is_known = bool(planned) and all(name in admitted for name in planned)
    if not is_known or not comparison.has_comparison_arms:
        return None
    on_test = np.logical_or.reduce([admitted[name] for name in planned])
    group_count = inputs.images["group"].iloc[inputs.test_rows][on_test].nunique()
    on_val = np.logical_or.reduce([comparison.slice_masks[name] for name in planned])
    powers, needs, detectable = [], [], []
    for arm in ("control", comparison.arm_in_force):
        gain = comparison.estimate_gain(on_val, alpha, arm, is_balanced=True)
        powers.append(gain.compute_power(group_count, alpha))
        needs.append(gain.estimate_required_groups(0.0, alpha))
        detectable.append(gain.compute_detectable_gain(group_count, alpha))
    return {
        "val_before": val_record["primary"]["before"]["value"],
        "val_after": val_record["primary"]["targeted"]["value"],
        "images": int(on_test.sum()),
        "groups": group_count,
        "power": min(powers),
        "detectable": None if None in detectable else max(filter(None, detectable), default=None),
        "groups_needed": None if None in needs else max(filter(None, needs)),
    }


def list_power_rows(split: str, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the groups of each test on a split, and the groups that would decide it.

    Args:
        split: val or test.
        record: the record of the split.
    """
    rows = [
        _build_row(
            PowerQuestion.OVERALL_NOT_WORSE, split, record["overall"], record["overall_needed"]
        )
    ]
    if split == "test":
        primary = record["primary"]
        rows.append(
            _build_row(PowerQuestion.PLANNED_GAIN, split, primary, primary["groups_needed"])
        )
    for row in record["slices"]:
        rows.append(
            _build_row(PowerQuestion.SLICE_GAIN, split, row, row["groups_needed"], row["slice"])
        )
    return rows


def list_sealed_power_rows(
    inputs: ComparisonInputs, val_record: Mapping[str, Any], admitted: Mapping[str, Mask]
) -> list[dict[str, Any]]:
    """Return the groups of each test on the sealed test set, with the needs foreseen from val.

    Args:
        inputs: artifacts of the comparison.
        val_record: the validation record.
        admitted: by slice, test images that its rule admits, see `find_admitted_rows`.
    """
    groups = inputs.images["group"].iloc[inputs.test_rows]
    needed = {row["slice"]: row["groups_needed"] for row in val_record["slices"]}
    rows = []
    for name, mask in admitted.items():
        subset = {"n": int(mask.sum()), "groups": groups[mask].nunique(), "gain": None}
        rows.append(_build_row(PowerQuestion.SLICE_GAIN, "test", subset, needed[name], name))
    return rows


def _build_row(
    question: PowerQuestion,
    split: str,
    subset: Mapping[str, Any],
    required_groups: int | None,
    slice_name: str | None = None,
) -> dict[str, Any]:
    numbers = build_power_row(subset, required_groups)
    return {"question": question, "split": split, "slice": slice_name, **numbers}
