"""What is done for one confirmed slice: who is treated, who is shown more often, what corrects images on arrival."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Mask, Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.statistics.group_intervals import estimate_cluster_mean

MIN_MEMBER_GROUPS = (
    10  # with a image in the slice: fewer are learnt by heart when they are shown again and again
)

PLAN_COLUMNS = {
    "image_id": "str",
    "slice": "str",
    "remedy": "str",
    "strength_low": "float64",
    "strength_high": "float64",
    "probability": "float64",
    "simulator": "str",
}


@dataclass(frozen=True)
class SimulatorUse:
    """A simulator, the causes that it draws, and the share of treated views that show its images."""

    name: str | None
    drawable_causes: Collection[str]
    view_share: float


@dataclass(frozen=True)
class PrescriptionContext:
    """What a prescription is made from. frame, train: of all images; arrived, members: which of them each slice admits
    by the image part of its rule, and by the whole.

    A slice (`item`) is a row of `explanations` with what training images are given (see `fitting.GIVEN`).
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
        """Who is treated, and in whose place a simulated image is shown."""
        drawn = (
            simulator_use.view_share if explanation.cause in simulator_use.drawable_causes else 0.0
        )
        parts = []
        if drawn < 1:
            parts.append(self._plan_treatment(explanation, probability * (1 - drawn)))
        if drawn > 0:
            chosen = (
                self.is_training & ~self.image_rule_masks[explanation.slice]
            )  # labels stay true, whatever the transform would do
            how = {
                "slice": explanation.slice,
                "remedy": explanation.cause,
                "strength_low": explanation.strength_low,
                "strength_high": explanation.strength_high,
            }
            parts.append(
                self._build_plan_rows(
                    chosen,
                    {**how, "probability": probability * drawn, "simulator": simulator_use.name},
                )
            )
        return pd.concat(parts)

    def _plan_treatment(self, explanation: Any, probability: float) -> pd.DataFrame:
        """The training images that are not in the slice, of every class alike, whatever the label part of its rule: a
        remedy for one class only would teach that dark means this class."""
        low, high = explanation.given_low, explanation.given_high
        banned = {
            r["from"]
            for r in self.refused_treatments
            if r["remedy"] == explanation.given and low <= r["strength"] <= high
        }
        chosen = (
            self.is_training
            & ~self.image_rule_masks[explanation.slice]
            & ~self.frame["label"].isin(banned).to_numpy()
        )
        return self._build_plan_rows(chosen, {"slice": explanation.slice, "remedy": explanation.given, "strength_low": low, "strength_high": high,
                                   "probability": probability, "simulator": None})  # fmt: skip

    def _build_plan_rows(
        self, image_mask: NDArray[np.bool_], settings: dict[str, Any]
    ) -> pd.DataFrame:
        return (
            pd.DataFrame({"image_id": self.frame.loc[image_mask, "image_id"]})
            .assign(**settings)
            .astype(PLAN_COLUMNS)
        )

    def plan_repeats(self, explanation: Any, max_repeats: int) -> pd.DataFrame:
        """The training images that are in the slice, shown as often as makes them as common as on val, at least twice;
        those without the mark of their class, as often as those with it; none where their groups are too few to teach
        more than themselves, or `most` is 1."""
        members, rule = self.rule_masks[explanation.slice], self.rules[explanation.slice]
        inside = self.is_training & members
        have, groups = int(inside.sum()), self.frame.loc[inside, "group"].nunique()
        if max_repeats < 2 or groups < MIN_MEMBER_GROUPS:
            return pd.DataFrame()
        times = float(
            np.clip(
                round(members[self.val.image_rows].mean() * self.is_training.sum() / have),
                2,
                max_repeats,
            )
        )
        if rule.is_unmarked_class:
            times = max(
                2.0,
                float(
                    round((self.is_training & (self.frame["label"] == rule.label)).sum() / have - 1)
                ),
            )
        how = {
            "slice": explanation.slice,
            "remedy": "reweighting" if rule.is_unmarked_class else "oversampling",
        }
        return self._build_plan_rows(
            inside,
            {**how, "strength_low": times, "strength_high": times, "probability": 1.0, "simulator": None},
        )

    def choose_correction(self, explanation: Any, slice_mask: NDArray[np.bool_]) -> dict[str, Any]:
        """The strength that, given to every image of the slice before the model looks, gains most on val."""
        probe, rows = self.val.probe_results, slice_mask[self.val.probed_rows]
        change, groups, weights = (
            self.val.saved_costs[rows],
            probe.groups[rows],
            probe.weights[rows],
        )
        columns = self.interventions.index[self.interventions["remedy"] == explanation.cause]
        best = max(columns, key=lambda c: float(np.average(change[:, c], weights=weights)))
        gain = estimate_cluster_mean(change[:, best], groups, weights=weights, bounds=(-1.0, 1.0))
        rule = self.rules[explanation.slice]
        return {
            "slice": explanation.slice,
            "when": Rule(rule.conditions).format_text(),  # a image that arrives has no label
            "rule": rule.dump_json(),
            "remedy": explanation.cause,
            "strength": float(self.interventions["strength"].iloc[best]),
            "gain": gain.build_record(),
            "helps": bool(gain.low > 0),
            "chosen_on": "val",
        }
