"""Decisions of a deployed model: what it answers, and what a correction of the image gains."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.statistics.error_costs import compute_utilities
from pipeline.statistics.group_intervals import estimate_cluster_mean
from pipeline.statistics.model_comparison import Floats, Mask, ModelComparison, ModelOutput
from pipeline.statistics.selective_prediction import (
    apply_decline_rule,
    choose_decline_rule,
    evaluate_coverage,
)

CorrectedPredictor = Callable[[str, dict[str, Any], Mask], Floats]
"""(arm, correction, inside [n]) -> logits [photos inside, classes] after the correction."""

OptionalLuminance = NDArray[np.float64] | None
DEPLOYABLE_ARMS = ("before", "targeted")
"""The arms of which one will be in force."""


def select_deployable_models(comparison: ModelComparison) -> list[ModelOutput]:
    """Return the baseline, and the first targeted model if arms are compared."""
    return [comparison.select_arm(arm)[0] for arm in DEPLOYABLE_ARMS if comparison.select_arm(arm)]


def _score_predictions(
    model: ModelOutput, comparison: ModelComparison
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the utility and the confidence of each prediction."""
    confidence = softmax(model.logits.astype(np.float64) / model.temperature, axis=1).max(1)
    return compute_utilities(
        comparison.labels, model.logits.argmax(1), comparison.error_costs
    ), confidence


def choose_decline_rules(
    val: ModelComparison,
    test: ModelComparison | None,
    target_error: float,
    luminances: tuple[OptionalLuminance, OptionalLuminance] = (None, None),
) -> dict[str, dict[str, Any]]:
    """Return the decline rule of each deployable arm, chosen on validation.

    Args:
        val: the comparison on validation, with corrections applied (`evaluate_corrections`).
        test: the same on the test set; None while it is sealed.
        target_error: highest error among answered images.
        luminances: mean luminance of the images of both splits as they arrived; None if not
            measured.

    Returns:
        The rule by arm; `test` is its coverage and error on the test set.
    """
    found: dict[str, dict[str, Any]] = {}
    for model in select_deployable_models(val):
        rule, seen = (
            choose_decline_rule(*_score_predictions(model, val), target_error, luminances[0]),
            None,
        )
        there = (
            next((m for m in select_deployable_models(test) if m.arm == model.arm), None)
            if test
            else None
        )
        if test and there:
            right, confidence = _score_predictions(there, test)
            seen = evaluate_coverage(
                right, test.groups, apply_decline_rule(rule, confidence, luminances[1])
            )
        found[model.arm] = {**rule, "test": seen}
    return found


def mark_declined_images(
    comparison: ModelComparison,
    decline_rules: Mapping[str, Mapping[str, Any]],
    luminance: OptionalLuminance = None,
) -> dict[str, Mask]:
    """Return whether each deployable arm declines an image by its rule, bool [n]."""
    return {
        m.arm: ~apply_decline_rule(
            decline_rules[m.arm], _score_predictions(m, comparison)[1], luminance
        )
        for m in select_deployable_models(comparison)
    }


def evaluate_corrections(
    comparison: ModelComparison,
    slice_masks: Mapping[str, Mask],
    corrections: Sequence[dict[str, Any]],
    predict_corrected: CorrectedPredictor,
    helpful_corrections: Collection[tuple[str, str]] | None = None,
) -> tuple[list[dict[str, Any]], ModelComparison]:
    """Return what each correction gains each deployable arm, and the arms with helpful corrections.

    Args:
        comparison: the models on one split.
        slice_masks: images that the image part of each slice's rule admits, bool [n].
        corrections: corrections of the policy.
        predict_corrected: predicts the images inside after a correction.
        helpful_corrections: (slice, arm) of the corrections to apply, chosen on another split; None
            to apply those that help here.

    Returns:
        Records {slice, arm, n, gain by group, helps}, and the deployable arms as they predict with
        the corrections applied; the first correction that applies to an image counts.
    """
    found: list[dict[str, Any]] = []
    shown = {model.arm: model.logits.copy() for model in select_deployable_models(comparison)}
    open_ = dict.fromkeys(shown, comparison.full_mask)
    for item in corrections:
        inside = slice_masks[item["slice"]]
        for model in select_deployable_models(comparison) if inside.any() else []:
            truth, said = comparison.labels[inside], model.logits[inside].argmax(1)
            after = predict_corrected(model.arm, item, inside)
            change = compute_utilities(
                truth, after.argmax(1), comparison.error_costs
            ) - compute_utilities(truth, said, comparison.error_costs)
            gain = estimate_cluster_mean(change, comparison.groups[inside], bounds=(-1.0, 1.0))
            told = {
                "slice": item["slice"],
                "arm": model.arm,
                "n": int(inside.sum()),
                "gain": gain.build_record(),
            }
            found.append({**told, "helps": bool(gain.low > 0)})
            if (
                (item["slice"], model.arm) in helpful_corrections
                if helpful_corrections is not None
                else gain.low > 0
            ):
                here = inside & open_[model.arm]
                shown[model.arm][here] = after[here[inside]]
                open_[model.arm] = open_[model.arm] & ~inside
    return found, replace(
        comparison,
        models=[
            replace(model, logits=shown[model.arm])
            for model in select_deployable_models(comparison)
        ],
    )
