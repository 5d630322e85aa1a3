"""Corrections and decline rules, chosen on validation and confirmed on the test set."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
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

    A correction that helps on validation is confirmed if it helps on the test set too; only
    confirmed ones are applied. The decline rule is chosen with these.

    Args:
        predictor: predicts corrected images.
        policy: the artifact of that name.
        val: the models on validation.
        test: the models on test, None while it is sealed.
    """
    inputs = predictor.inputs
    splits = [_ServedSplit(predictor, policy, val, inputs.validation_rows)]
    if test:
        splits.append(_ServedSplit(predictor, policy, test, inputs.test_rows))
    val_gains, _ = splits[0].evaluate()
    helpful = {(row["slice"], row["arm"]) for row in val_gains if row["helps"]}
    test_gains = None
    confirmed: set[tuple[str, str]] = set()
    if test:
        test_gains, _ = splits[1].evaluate(helpful)
        shown = {(row["slice"], row["arm"]) for row in test_gains if row["helps"]}
        confirmed = helpful & shown
    for row in val_gains:
        row["is_confirmed"] = (row["slice"], row["arm"]) in confirmed
    served = [split.evaluate(confirmed)[1] for split in splits]
    val_luminance = get_luminance(inputs.attributes, inputs.validation_rows)
    test_luminance = get_luminance(inputs.attributes, inputs.test_rows)
    rules = choose_decline_rules(
        served[0],
        served[1] if test else None,
        policy["decline"]["target_error"],
        (val_luminance, test_luminance),
    )
    record = {"decline": rules, "corrections": {"val": val_gains, "test": test_gains}}
    return ServedDecisions(record, mark_declined_images(served[0], rules, val_luminance))


@dataclass(frozen=True)
class _ServedSplit:
    """The models on one split, and their predictions after corrections, which are made once.

    Attributes:
        predictor: predicts corrected images.
        policy: the artifact of that name.
        comparison: the models on the split.
        rows: rows of `images` of the split.
    """

    predictor: ArmPredictor
    policy: dict[str, Any]
    comparison: ModelComparison
    rows: NDArray[np.intp]
    logits: dict[tuple[str, str], NDArray[np.float32]] = field(default_factory=dict)

    @cached_property
    def corrections(self) -> list[dict[str, Any]]:
        """Return the corrections of the policy that helped when they were chosen."""
        return [item for item in self.policy["corrections"] if item["helps"]]

    @cached_property
    def admitted(self) -> dict[str, Mask]:
        """Return the images that the image part of each slice's rule admits."""
        if not self.corrections:
            return {}
        return find_admitted_rows(
            self.predictor.inputs, self.rows, can_read_pixels=True, should_use_label=False
        )

    def evaluate(
        self, helpful: set[tuple[str, str]] | None = None
    ) -> tuple[list[dict[str, Any]], ModelComparison]:
        """Return the gain of each correction, and the arms with the helpful ones applied.

        `helpful` holds the (slice, arm) to correct; None for those that help on this split.
        """
        return evaluate_corrections(
            self.comparison, self.admitted, self.corrections, self._predict_corrected, helpful
        )

    def _predict_corrected(
        self, arm: str, correction: dict[str, Any], is_inside: Mask
    ) -> NDArray[np.float32]:
        key = (arm, correction["slice"])
        if key not in self.logits:
            rows = self.rows[is_inside]
            self.logits[key] = self.predictor.predict_corrected(arm, correction, rows)
        return self.logits[key]
