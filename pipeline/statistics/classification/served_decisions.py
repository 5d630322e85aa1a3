"""Decisions of a deployed model: what it answers, and what a correction of the image gains."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.statistics.classification.error_costs import compute_utilities
from pipeline.statistics.classification.selective_prediction import (
    AnsweredImages,
    DeclineStatus,
    apply_decline_rule,
    choose_decline_rule,
    evaluate_coverage,
    leave_out_rule,
)
from pipeline.statistics.group_intervals import estimate_cluster_mean
from pipeline.statistics.model_comparison import Floats, Mask, ModelComparison, ModelOutput

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
        The rule by arm. `test` is its coverage and error on the test set. A rule whose error there
        exceeds the target is left out, with `is_refuted`.
    """
    test_models: dict[str, ModelOutput] = {}
    for model in select_deployable_models(test) if test else []:
        test_models.setdefault(model.arm, model)
    rules: dict[str, dict[str, Any]] = {}
    for model in select_deployable_models(val):
        utilities, confidence = _score_predictions(model, val)
        images = AnsweredImages(1.0 - utilities, confidence, val.groups)
        rule = {**choose_decline_rule(images, target_error, luminances[0]), "is_refuted": False}
        coverage = None
        if test and model.arm in test_models:
            scores = _score_predictions(test_models[model.arm], test)
            coverage = _evaluate_rule(rule, scores, test.groups, luminances[1])
            error = coverage["error"]
            is_held = rule["status"] == DeclineStatus.HELD
            if is_held and error and error["value"] > target_error:
                rule = {**leave_out_rule(rule, images.losses), "is_refuted": True}
        rules[model.arm] = {**rule, "test": coverage}
    return rules


def _evaluate_rule(
    rule: Mapping[str, Any],
    scores: tuple[NDArray[np.float64], NDArray[np.float64]],
    groups: NDArray[Any],
    luminance: OptionalLuminance,
) -> dict[str, Any]:
    """Return coverage and error of a rule; `scores` are utilities and confidences."""
    utilities, confidence = scores
    return evaluate_coverage(utilities, groups, apply_decline_rule(rule, confidence, luminance))


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
    records: list[dict[str, Any]] = []
    corrected = {model.arm: model.logits.copy() for model in select_deployable_models(comparison)}
    uncorrected = dict.fromkeys(corrected, comparison.full_mask)
    for item in corrections:
        inside = slice_masks[item["slice"]]
        for model in select_deployable_models(comparison) if inside.any() else []:
            labels = comparison.labels[inside]
            before = model.logits[inside].argmax(1)
            after = predict_corrected(model.arm, item, inside)
            change = compute_utilities(
                labels, after.argmax(1), comparison.error_costs
            ) - compute_utilities(labels, before, comparison.error_costs)
            gain = estimate_cluster_mean(change, comparison.groups[inside], bounds=(-1.0, 1.0))
            record = {
                "slice": item["slice"],
                "arm": model.arm,
                "n": int(inside.sum()),
                "gain": gain.build_record(),
            }
            records.append({**record, "helps": bool(gain.low > 0)})
            if (
                (item["slice"], model.arm) in helpful_corrections
                if helpful_corrections is not None
                else gain.low > 0
            ):
                here = inside & uncorrected[model.arm]
                corrected[model.arm][here] = after[here[inside]]
                uncorrected[model.arm] = uncorrected[model.arm] & ~inside
    return records, replace(
        comparison,
        models=[
            replace(model, logits=corrected[model.arm])
            for model in select_deployable_models(comparison)
        ],
    )
