"""Several models compared on one split: scores, and the gain of the targeted arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.classification.classification_metrics import score_logits
from pipeline.statistics.classification.error_costs import compute_utilities
from pipeline.statistics.group_intervals import estimate_cluster_mean
from pipeline.statistics.paired_comparison import (
    HarmMargins,
    NonInferiorityResult,
    PairedGain,
    assess_non_inferiority,
    estimate_paired_gain,
)

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
ARM_NAMES = ("before", "control", "targeted", "generic")


@dataclass(frozen=True)
class ModelOutput:
    """The output of one model.

    Attributes:
        arm: an entry of `ARM_NAMES`.
        seed: seed of the training; None for the baseline.
        logits: [n, classes].
        temperature: temperature of the calibrated probabilities.
    """

    arm: str
    seed: int | None
    logits: Floats
    temperature: float = 1.0


@dataclass(frozen=True)
class ModelComparison:
    """The outputs of several models on one split. The first seed of an arm is its primary model.

    Gains and margins weigh errors by their cost; accuracies do not.

    Attributes:
        labels: class indices, [n].
        groups: the group of each image, [n].
        class_names: names of the classes.
        models: the outputs.
        slice_masks: members of each slice, bool [n].
        error_costs: cost matrix of `build_cost_matrix`; None if all errors have equal cost.
    """

    labels: NDArray[np.intp]
    groups: NDArray[Any]
    class_names: list[str]
    models: list[ModelOutput]
    slice_masks: Mapping[str, Mask] = field(default_factory=dict)
    error_costs: list[list[float]] | None = None

    @property
    def full_mask(self) -> Mask:
        """Return a mask that selects every image, bool [n]."""
        return np.ones(len(self.labels), dtype=np.bool_)

    def select_arm(self, arm: str) -> list[ModelOutput]:
        """Return the models of an arm, first seed first."""
        return [m for m in self.models if m.arm == arm]

    def compute_correctness(self, arm: str) -> Mask:
        """Return whether each prediction of an arm is correct, bool [seeds, n]."""
        return np.array(
            [m.logits.argmax(1) == self.labels for m in self.select_arm(arm)], dtype=np.bool_
        ).reshape(-1, len(self.labels))

    def compute_arm_utilities(self, arm: str) -> Floats:
        """Return the utility of each prediction of an arm, float64 [seeds, n]; 1 if correct."""
        utilities = [
            compute_utilities(self.labels, m.logits.argmax(1), self.error_costs)
            for m in self.select_arm(arm)
        ]
        return np.array(utilities, dtype=np.float64).reshape(-1, len(self.labels))

    @property
    def has_comparison_arms(self) -> bool:
        """Return whether there are a targeted and a control arm."""
        return bool(self.select_arm("targeted") and self.select_arm("control"))

    def estimate_gain(
        self,
        inside: Mask,
        alpha: float,
        seed_count: int | None = None,
        reference_arm: str = "control",
    ) -> PairedGain:
        """Return the gain of the targeted arm over another one on a subset.

        Args:
            inside: the subset, bool [n].
            alpha: level of the bound.
            seed_count: number of seeds to use, the first ones; None for all.
            reference_arm: the other arm.
        """
        treated = self.compute_arm_utilities("targeted")[:seed_count, inside]
        other = self.compute_arm_utilities(reference_arm)[:seed_count, inside]
        return estimate_paired_gain(treated, other, self.groups[inside], alpha)

    def check_non_inferiority(self, alpha: float, margins: HarmMargins) -> NonInferiorityResult:
        """Return whether the targeted arm is not worse than the control arm, overall and by class.

        Args:
            alpha: level of the bounds.
            margins: margins and levels.
        """
        labels = np.array(self.class_names)[self.labels]
        return assess_non_inferiority(
            self.compute_arm_utilities("targeted"),
            self.compute_arm_utilities("control"),
            labels,
            self.groups,
            alpha,
            margins,
        )

    def score_arms(self) -> dict[str, list[dict[str, Any]]]:
        """Return the scores of each model by arm, first seed first."""
        return {
            arm: [
                {
                    "seed": m.seed,
                    **score_logits(
                        m.logits, self.labels, self.groups, self.class_names, m.temperature
                    ),
                }
                for m in self.select_arm(arm)
            ]
            for arm in ARM_NAMES
            if self.select_arm(arm)
        }

    def compare_subset(self, inside: Mask, alpha: float) -> dict[str, Any]:
        """Return the accuracy of each arm on a subset, and the gain of the targeted arm there.

        Returns:
            Accuracies of the first seeds. `gain`: over the control arm, all seeds. `first_seed`:
            the same with the first seed alone. `passed`: both lower bounds exceed zero.
            `over_generic`: the gain over the generic arm, None without one.
        """
        record: dict[str, Any] = {
            "n": int(inside.sum()),
            "groups": len(np.unique(self.groups[inside])),
        }
        for arm in ARM_NAMES:
            accuracy = (
                estimate_cluster_mean(self.compute_correctness(arm)[0, inside], self.groups[inside])
                if self.select_arm(arm)
                else None
            )
            record[arm] = accuracy.build_record() if accuracy else None
        if not self.has_comparison_arms:
            nothing = dict.fromkeys(("gain", "first_seed", "over_generic", "groups_needed"))
            return {**record, **nothing, "passed": False}
        gain = self.estimate_gain(inside, alpha)
        first = self.estimate_gain(inside, alpha, seed_count=1)
        return {
            **record,
            "gain": gain.build_record(),
            "first_seed": first.build_record(),
            "over_generic": self.estimate_gain(
                inside, alpha, reference_arm="generic"
            ).build_record()
            if self.select_arm("generic")
            else None,
            "passed": bool(gain.bound > 0 and first.bound > 0),
            "groups_needed": gain.estimate_required_groups(0.0, alpha),
        }

    def build_record(self, alpha: float, margins: HarmMargins) -> dict[str, Any]:
        """Return the whole comparison on this split as finite JSON, slice by slice."""
        worse = self.check_non_inferiority(alpha, margins) if self.has_comparison_arms else None
        return {
            "n": len(self.labels),
            "groups": len(np.unique(self.groups)),
            "alpha": alpha,
            "arms": self.score_arms(),
            "overall": self.compare_subset(self.full_mask, alpha),
            "slices": [
                {"slice": name, **self.compare_subset(mask, alpha)}
                for name, mask in self.slice_masks.items()
            ],
            "non_inferiority": worse.build_record() if worse else None,
            "overall_needed": worse.overall_gain.estimate_required_groups(-margins.overall, alpha)
            if worse
            else None,
        }


def has_shown_harm(record: Mapping[str, Any] | None) -> bool:
    """Return whether a split's record shows harm to a class, or outside the slices with a remedy.

    Args:
        record: As `ModelComparison.build_record` makes it, with the subset `outside`; None where
            the
            split was not opened.
    """
    classes = ((record or {}).get("non_inferiority") or {}).get("classes", [])
    gain = ((record or {}).get("outside") or {}).get("gain") or {"high": None}
    is_harmful_outside = gain["high"] is not None and gain["high"] < 0
    return is_harmful_outside or any(row["status"] == "harmed" for row in classes)
