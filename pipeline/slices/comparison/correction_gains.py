"""Corrections and decline rules, chosen on validation and measured on the test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.slices.comparison.arm_predictions import ArmPredictor, find_admitted_rows
from pipeline.slices.comparison.comparison_inputs import get_luminance
from pipeline.statistics.classification.served_decisions import (
    choose_decline_rules,
    evaluate_corrections,
    mark_declined_images,
)
from pipeline.statistics.model_comparison import Mask, ModelComparison


@dataclass(frozen=True)
class ServedDecisions:
    """What the deployable arms answer with corrections and decline rules.

    Attributes:
        record: `decline`, the rule of each arm, and `corrections`, their gains by split.
        is_declined: bool [validation images] by arm.
    """

    record: dict[str, Any]
    is_declined: dict[str, Mask]


def evaluate_served_decisions(
    predictor: ArmPredictor,
    policy: dict[str, Any],
    val: ModelComparison,
    test: ModelComparison | None,
) -> ServedDecisions:
    """Return the corrections and decline rules of each deployable arm.

    Args:
        predictor: predicts corrected images.
        policy: the artifact of that name.
        val: the models on validation.
        test: the models on test, None while it is sealed.
    """
    inputs = predictor.inputs
    val_gains, val_served = _evaluate_split(predictor, policy, val, inputs.validation_rows)
    test_gains = None
    test_served = None
    if test:
        helpful = {(row["slice"], row["arm"]) for row in val_gains if row["helps"]}
        test_gains, test_served = _evaluate_split(
            predictor, policy, test, inputs.test_rows, helpful
        )
    val_luminance = get_luminance(inputs.attributes, inputs.validation_rows)
    test_luminance = get_luminance(inputs.attributes, inputs.test_rows)
    rules = choose_decline_rules(
        val_served, test_served, policy["decline"]["target_error"], (val_luminance, test_luminance)
    )
    record = {"decline": rules, "corrections": {"val": val_gains, "test": test_gains}}
    return ServedDecisions(record, mark_declined_images(val_served, rules, val_luminance))


def _evaluate_split(
    predictor: ArmPredictor,
    policy: dict[str, Any],
    comparison: ModelComparison,
    rows: NDArray[np.intp],
    helpful: set[tuple[str, str]] | None = None,
) -> tuple[list[dict[str, Any]], ModelComparison]:
    """Return the gain of each helpful correction of the policy, and the arms with corrections.

    `helpful` holds the (slice, arm) to correct, chosen on validation; None on validation itself.
    """
    corrections = [item for item in policy["corrections"] if item["helps"]]
    admitted: dict[str, Mask] = {}
    if corrections:
        admitted = find_admitted_rows(
            predictor.inputs, rows, can_read_pixels=True, should_use_label=False
        )

    def predict_corrected(
        arm: str, correction: dict[str, Any], is_inside: Mask
    ) -> NDArray[np.float32]:
        return predictor.predict_corrected(arm, correction, rows[is_inside])

    return evaluate_corrections(comparison, admitted, corrections, predict_corrected, helpful)
