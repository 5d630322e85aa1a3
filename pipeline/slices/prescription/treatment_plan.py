"""The plan for one confirmed slice: treated images, repeated images, correction at prediction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Mask, Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.group_intervals import estimate_cluster_mean

PLAN_COLUMNS = {
    "image_id": "str",
    "slice": "str",
    "remedy": "str",
    "strength_low": "float64",
    "strength_high": "float64",
    "probability": "float64",
    "tone_share": "float64",
    "simulator": "str",
}


@dataclass(frozen=True)
class SimulatorUse:
    """How far simulated images replace treated ones.

    Attributes:
        name: the simulator; None without one.
        drawable_causes: causes that it can draw.
        view_share: share of treated views that show its images.
    """

    name: str | None
    drawable_causes: Collection[str]
    view_share: float


@dataclass(frozen=True)
class PrescriptionContext:
    """The tables that prescriptions of all slices are made from.

    The argument `explanation` of its methods is a row of `explanations` with `FIT_COLUMNS`.

    Attributes:
        frame: all images, with the columns of `build_condition_frame`.
        is_training: whether each image is in the training set, bool [images].
        image_rule_masks: images that the image conditions of each slice's rule admit.
        rule_masks: images that the whole rule admits, class included.
        rules: the rule of each slice.
        val: the validation set.
        interventions: columns `remedy` and `strength`, in the order of the probe.
        refused_treatments: treatments that change a label, as `find_label_changes` returns them.
    """

    frame: pd.DataFrame
    is_training: NDArray[np.bool_]
    image_rule_masks: dict[str, Mask]
    rule_masks: dict[str, Mask]
    rules: dict[str, Rule]
    val: ValidationSet
    interventions: pd.DataFrame
    refused_treatments: list[dict[str, Any]]

    def build_plan(
        self, explanation: Any, probability: float, simulator_use: SimulatorUse
    ) -> pd.DataFrame:
        """Return the plan rows of treated training images, and of simulated ones in their place.

        Args:
            explanation: the slice.
            probability: probability that a view of a training image is treated.
            simulator_use: how far simulated images replace treated ones.
        """
        is_drawable = explanation.cause in simulator_use.drawable_causes
        simulated_share = simulator_use.view_share if is_drawable else 0.0
        plans = []
        if simulated_share < 1:
            plans.append(self._plan_treatment(explanation, probability * (1 - simulated_share)))
        if simulated_share > 0:
            # Simulated images have true labels: refused treatments do not apply.
            settings = {
                "slice": explanation.slice,
                "remedy": explanation.cause,
                "strength_low": explanation.strength_low,
                "strength_high": explanation.strength_high,
                "probability": probability * simulated_share,
                "tone_share": 0.0,
                "simulator": simulator_use.name,
            }
            plans.append(self._build_plan_rows(self._select_outside(explanation), settings))
        return pd.concat(plans)

    def _select_outside(self, explanation: Any) -> Mask:
        return self.is_training & ~self.image_rule_masks[explanation.slice]

    def _plan_treatment(self, explanation: Any, probability: float) -> pd.DataFrame:
        """Return the plan rows of training images outside the slice.

        Every class is treated, whatever the label of the rule: a remedy for one class only would
        teach that dark images are of this class. Classes that the treatment would relabel are left
        out.
        """
        low, high = explanation.fitted_low, explanation.fitted_high
        refused_labels = set()
        for refused in self.refused_treatments:
            if (
                refused["remedy"] == explanation.fitted_remedy
                and low <= refused["strength"] <= high
            ):
                refused_labels.add(refused["from"])
        is_refused = self.frame["label"].isin(refused_labels).to_numpy()
        settings = {
            "slice": explanation.slice,
            "remedy": explanation.fitted_remedy,
            "strength_low": low,
            "strength_high": high,
            "probability": probability,
            "tone_share": choose_tone_share(explanation),
            "simulator": None,
        }
        return self._build_plan_rows(self._select_outside(explanation) & ~is_refused, settings)

    def _build_plan_rows(
        self, image_mask: NDArray[np.bool_], settings: dict[str, Any]
    ) -> pd.DataFrame:
        """Return one row for each image of the mask."""
        rows = pd.DataFrame({"image_id": self.frame.loc[image_mask, "image_id"]})
        return rows.assign(**settings).astype(PLAN_COLUMNS)

    def plan_repeats(self, explanation: Any, max_repeats: int) -> pd.DataFrame:
        """Return the plan rows of repeated training images in the slice.

        They are repeated until the slice is as frequent as in the validation set. Images without
        the mark of their class are weighted to count like those with it.

        Args:
            explanation: the slice.
            max_repeats: largest factor; below 2 nothing is repeated.

        Returns:
            An empty table if the slice has too few groups, which a model would memorize.
        """
        constants = CONSTANTS.prescription
        rule_mask, rule = self.rule_masks[explanation.slice], self.rules[explanation.slice]
        is_member = self.is_training & rule_mask
        group_count = self.frame.loc[is_member, "group"].nunique()
        if max_repeats < constants.min_repeats or group_count < constants.min_member_groups:
            return pd.DataFrame()
        member_count = int(is_member.sum())
        if rule.is_unmarked_class:
            remedy = "reweighting"
            class_count = (self.is_training & (self.frame["label"] == rule.label)).sum()
            times = max(constants.min_repeats, float(round(class_count / member_count - 1)))
        else:
            remedy = "oversampling"
            share = rule_mask[self.val.image_rows].mean()
            wanted = round(share * self.is_training.sum() / member_count)
            times = float(np.clip(wanted, constants.min_repeats, max_repeats))
        settings = {
            "slice": explanation.slice,
            "remedy": remedy,
            "strength_low": times,
            "strength_high": times,
            "probability": 1.0,
            "tone_share": 0.0,
            "simulator": None,
        }
        return self._build_plan_rows(is_member, settings)

    def choose_correction(self, explanation: Any, slice_mask: NDArray[np.bool_]) -> dict[str, Any]:
        """Return the probed strength of the cause that helps the slice most at prediction time.

        Args:
            explanation: the slice.
            slice_mask: whether each validation image is in the slice, bool [rows].

        Returns:
            The correction: the rule of the images that it applies to, its intervention and the gain
            on the validation set.
        """
        probe = self.val.probe_results
        is_member = slice_mask[self.val.probed_rows]
        saved_costs = np.nan_to_num(self.val.saved_costs[is_member])
        weights = probe.cell_weights[is_member]
        is_of_cause = (self.interventions["remedy"] == explanation.cause).to_numpy()
        columns = np.flatnonzero(is_of_cause & (weights.sum(axis=0) > 0))
        means = np.average(saved_costs[:, columns], axis=0, weights=weights[:, columns])
        best = columns[int(np.argmax(means))]
        is_asked = weights[:, best] > 0
        gain = estimate_cluster_mean(
            saved_costs[is_asked, best],
            probe.groups[is_member][is_asked],
            weights=weights[is_asked, best],
            bounds=(-1.0, 1.0),
        )
        rule = self.rules[explanation.slice]
        return {
            "slice": explanation.slice,
            "when": Rule(rule.conditions).format_text(),  # an arriving image has no label
            "rule": rule.dump_json(),
            "remedy": explanation.cause,
            "strength": float(self.interventions["strength"].iloc[best]),
            "gain": gain.build_record(),
            "helps": bool(gain.low > 0),
            "chosen_on": "val",
        }


def choose_tone_share(explanation: Any) -> float:
    """Return the share of a slice's treated views that get the tones of its real images.

    It is 0 unless such images are harder to separate from the slice than the fitted remedy's.

    Args:
        explanation: row of `explanations` with `FIT_COLUMNS`.
    """
    constants = CONSTANTS.prescription
    is_nearer = explanation.tone_auc < explanation.fit_auc - constants.fit_auc_tolerance
    return constants.tone_view_share if is_nearer else 0.0
