"""Several models compared on one split: scores, and the gain of the targeted arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.classification.classification_metrics import score_logits
from pipeline.statistics.classification.error_costs import compute_utilities
from pipeline.statistics.gains.harm_assessment import (
    SHOWN_LEVEL,
    HarmMargins,
    ModelPair,
    SafetyResult,
    assess_safety,
)
from pipeline.statistics.group_intervals import estimate_cluster_mean
from pipeline.statistics.paired_comparison import PairedGain

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
Utilities = NDArray[np.float64]
ARM_NAMES = ("before", "champion", "control", "targeted", "generic")
IN_FORCE_ARMS = ("champion", "before")
"""Single models that the candidate would replace, the one in force first."""


@dataclass(frozen=True)
class ModelOutput:
    """The output of one model.

    Attributes:
        arm: an entry of `ARM_NAMES`.
        seed: seed of the training; None for a single model and for the average of an arm's seeds.
        logits: [n, classes].
        temperature: temperature of the calibrated probabilities.
    """

    arm: str
    seed: int | None
    logits: Floats
    temperature: float = 1.0


@dataclass(frozen=True)
class ModelComparison:
    """The outputs of several models on one split. The first model of an arm is its primary one.

    It is the one that ships: the average of the arm's seeds, or its first seed.

    Gains and margins weigh errors by their cost; accuracies do not.

    Attributes:
        labels: class indices, [n].
        groups: the group of each image, [n].
        class_names: names of the classes.
        models: the outputs.
        slice_masks: members of each slice, bool [n].
        error_costs: cost matrix of `build_cost_matrix`; None if all errors have equal cost.
        condition_masks: images of every class that the condition of each slice admits, bool [n],
            in which each class is judged; those of `slice_masks` by default.
    """

    labels: NDArray[np.intp]
    groups: NDArray[Any]
    class_names: list[str]
    models: list[ModelOutput]
    slice_masks: Mapping[str, Mask] = field(default_factory=dict)
    error_costs: list[list[float]] | None = None
    condition_masks: Mapping[str, Mask] = field(default_factory=dict)

    @property
    def full_mask(self) -> Mask:
        """Return a mask that selects every image, bool [n]."""
        return np.ones(len(self.labels), dtype=np.bool_)

    def select_arm(self, arm: str) -> list[ModelOutput]:
        """Return the models of an arm, the primary one first."""
        return [m for m in self.models if m.arm == arm]

    def select_seeds(self, arm: str) -> list[ModelOutput]:
        """Return the models of an arm by seed, without their average; or its single model."""
        models = self.select_arm(arm)
        return [m for m in models if m.seed is not None] or models

    def compute_correctness(self, arm: str) -> Mask:
        """Return whether each prediction of an arm is correct, bool [models, n]."""
        return np.array(
            [m.logits.argmax(1) == self.labels for m in self.select_arm(arm)], dtype=np.bool_
        ).reshape(-1, len(self.labels))

    def compute_arm_utilities(self, arm: str) -> Utilities:
        """Return the utility of each prediction of an arm, float64 [seeds, n]; 1 if correct."""
        return self._compute_utilities(self.select_seeds(arm))

    def _compute_utilities(self, models: Sequence[ModelOutput]) -> Utilities:
        utilities = [
            compute_utilities(self.labels, m.logits.argmax(1), self.error_costs) for m in models
        ]
        return np.array(utilities, dtype=np.float64).reshape(-1, len(self.labels))

    @property
    def has_comparison_arms(self) -> bool:
        """Return whether there are a targeted and a control arm."""
        return bool(self.select_arm("targeted") and self.select_arm("control"))

    @property
    def reference_arms(self) -> list[str]:
        """Return the arms that the candidate must not be worse than, the one in force first."""
        return [arm for arm in (*IN_FORCE_ARMS, "control") if self.select_arm(arm)]

    @property
    def arm_in_force(self) -> str:
        """Return the arm that the candidate would replace: the champion, else the baseline."""
        return self.reference_arms[0]

    def pair_arms(self, reference_arm: str) -> ModelPair:
        """Return all seeds of the targeted arm beside another arm.

        Beside a single model stands the average of the seeds, if there is one: it would ship.
        """
        primary = self.select_arm("targeted")[0]
        if reference_arm in IN_FORCE_ARMS and primary.seed is None:
            return self.pair_shipped(reference_arm)
        treated = self.compute_arm_utilities("targeted")
        return ModelPair(treated, self.compute_arm_utilities(reference_arm), self.groups)

    def pair_shipped(self, reference_arm: str) -> ModelPair:
        """Return the model that would ship beside a single model.

        Beside an arm of several seeds stand all of them: this shows what the remedy does.
        """
        if reference_arm not in IN_FORCE_ARMS:
            return self.pair_arms(reference_arm)
        treated = self._compute_utilities(self.select_arm("targeted")[:1])
        return ModelPair(treated, self.compute_arm_utilities(reference_arm), self.groups)

    def compute_balanced_weights(self, inside: Mask) -> Utilities:
        """Return weights float64 [n] under which every class of a subset counts alike."""
        counts = np.bincount(self.labels[inside], minlength=len(self.class_names))
        return np.asarray(1 / np.maximum(counts, 1)[self.labels], dtype=np.float64)

    def estimate_gain(
        self,
        inside: Mask,
        alpha: float,
        reference_arm: str = "control",
        *,
        is_balanced: bool = False,
    ) -> PairedGain:
        """Return the gain of the targeted arm over another one on a subset.

        Args:
            inside: the subset, bool [n].
            alpha: level of the bound.
            reference_arm: the other arm.
            is_balanced: whether every class of the subset counts alike.
        """
        weights = self.compute_balanced_weights(inside) if is_balanced else None
        return self.pair_arms(reference_arm).estimate_gain(inside, alpha, weights)

    def assess_safety(
        self, reference_arm: str, outside: Mask | None, margins: HarmMargins
    ) -> SafetyResult:
        """Return whether the targeted arm is not worse than another one, for anybody.

        Args:
            reference_arm: the other arm.
            outside: images outside the planned slices, bool [n]; None without such slices.
            margins: losses that are accepted.
        """
        labels = np.array(self.class_names)[self.labels]
        pairs = (self.pair_arms(reference_arm), self.pair_shipped(reference_arm))
        masks = (self.slice_masks, {**self.slice_masks, **self.condition_masks})
        return assess_safety(pairs, labels, masks, outside, margins)

    def score_arms(self) -> dict[str, list[dict[str, Any]]]:
        """Return the scores of each model by arm, the primary one first."""
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

    def compare_subset(
        self, inside: Mask, alpha: float, *, is_balanced: bool = False
    ) -> dict[str, Any]:
        """Return the accuracy of each arm on a subset, and the gain of the targeted arm there.

        Args:
            inside: the subset, bool [n].
            alpha: level of the bounds.
            is_balanced: whether every class of the subset counts alike.

        Returns:
            Accuracies of the primary models. `gain`: over the control arm, all seeds. `over`: by
            reference arm, the gain over it. `over_generic`: the gain over the generic arm, None
            without one. `passed`: see `is_improved`. `groups_needed`: for both gains.
        """
        groups = self.groups[inside]
        record: dict[str, Any] = {"n": int(inside.sum()), "groups": len(np.unique(groups))}
        weights = self.compute_balanced_weights(inside)[inside] if is_balanced else None
        for arm in ARM_NAMES:
            record[arm] = None
            if self.select_arm(arm):
                correct = self.compute_correctness(arm)[0, inside]
                share = estimate_cluster_mean(correct, groups, weights=weights)
                record[arm] = share.build_record()
        if not self.has_comparison_arms:
            nothing = dict.fromkeys(("gain", "over_generic", "groups_needed"))
            return {**record, **nothing, "over": {}, "passed": False}
        gains, over = {}, {}
        for arm in self.reference_arms:
            gains[arm] = self.estimate_gain(inside, alpha, arm, is_balanced=is_balanced)
            shipped = self._average_shipped_gain(inside, arm, is_balanced=is_balanced)
            over[arm] = {**gains[arm].build_record(), "shipped": shipped}
        generic = None
        if self.select_arm("generic"):
            gain = self.estimate_gain(inside, alpha, "generic", is_balanced=is_balanced)
            generic = gain.build_record()
        return {
            **record,
            "gain": over["control"],
            "over": over,
            "over_generic": generic,
            "passed": is_improved(over, self.arm_in_force),
            "groups_needed": self._estimate_required_groups(gains, alpha),
        }

    def _average_shipped_gain(
        self, inside: Mask, reference_arm: str, *, is_balanced: bool
    ) -> float | None:
        """Return the mean gain of the model that would ship; None on an empty subset."""
        if not inside.any():
            return None
        pair = self.pair_shipped(reference_arm)
        weights = self.compute_balanced_weights(inside) if is_balanced else np.ones(len(inside))
        differences = pair.treated.mean(axis=0) - pair.reference.mean(axis=0)
        return float(np.average(differences[inside], weights=weights[inside]))

    def _estimate_required_groups(
        self, gains: Mapping[str, PairedGain], alpha: float
    ) -> int | None:
        """Return how many groups would show both gains; None if no number would."""
        needed = []
        for arm in {"control", self.arm_in_force}:
            needed.append(gains[arm].estimate_required_groups(0.0, alpha))
        known = [number for number in needed if number is not None]
        return max(known) if len(known) == len(needed) else None

    def build_record(self, alpha: float) -> dict[str, Any]:
        """Return the comparison on this split as finite JSON, slice by slice."""
        slices = []
        for name, mask in self.slice_masks.items():
            slices.append({"slice": name, **self.compare_subset(mask, alpha, is_balanced=True)})
        return {
            "n": len(self.labels),
            "groups": len(np.unique(self.groups)),
            "alpha": alpha,
            "arms": self.score_arms(),
            "overall": self.compare_subset(self.full_mask, alpha),
            "slices": slices,
        }

    def build_safety_record(self, outside: Mask | None, margins: HarmMargins) -> dict[str, Any]:
        """Return `safety`, by reference arm, and `overall_needed`, the groups that would decide it.

        A loss overall must be excluded against the model in force; against the others it may not be
        probable.

        Args:
            outside: images outside the planned slices, bool [n]; None without such slices.
            margins: losses that are accepted.
        """
        if not self.has_comparison_arms:
            return {"safety": {}, "overall_needed": None}
        results, overall_needed = {}, None
        for arm in self.reference_arms:
            result = self.assess_safety(arm, outside, margins)
            results[arm] = result.build_record()
            if arm == self.arm_in_force:
                gain = result.overall_gain
                overall_needed = gain.estimate_required_groups(-margins.overall, margins.level)
        return {"safety": results, "overall_needed": overall_needed}


def is_improved(
    over: Mapping[str, Mapping[str, Any]], arm_in_force: str, *, is_screening: bool = False
) -> bool:
    """Return whether a subset gained over the control arm and over the model in force.

    A subset that the model before got right as often is not improved, even if the control became
    worse. The model that would ship must have gained itself.

    Args:
        over: by reference arm, the gain over it, as `ModelComparison.compare_subset` makes it.
        arm_in_force: the arm that would be replaced.
        is_screening: whether the gain over the model in force need not be shown yet.
    """
    bounds = [over["control"]["bound"]]
    if not is_screening:
        bounds.append(over[arm_in_force]["bound"])
    gains = [over[arm]["shipped"] for arm in (arm_in_force, "before")]
    return all(value is not None and value > 0 for value in (*bounds, *gains))


def has_shown_harm(record: Mapping[str, Any] | None) -> bool:
    """Return whether a split's record shows a loss beyond the margin of some part.

    Args:
        record: a split of the artifact `comparison`; None where it was not opened.
    """
    for safety in ((record or {}).get("safety") or {}).values():
        outside = [safety["outside"]] if safety["outside"] else []
        for part in (*outside, *safety["classes"], *safety["slices"], *safety["slice_classes"]):
            if part["loss_probability"] >= 1 - SHOWN_LEVEL:
                return True
    return False
