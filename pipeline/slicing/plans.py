"""What is done for one confirmed slice: who is treated, who is shown more often, what corrects photos on arrival."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.evidence.intervals import cluster_mean
from pipeline.slicing.rules import Mask, Rule
from pipeline.slicing.validation import Val

GROUPS = 10  # with a photo in the slice: fewer are learnt by heart when they are shown again and again

PLAN = {
    "image_id": "str",
    "slice": "str",
    "remedy": "str",
    "dose_low": "float64",
    "dose_high": "float64",
    "probability": "float64",
    "simulator": "str",
}


@dataclass(frozen=True)
class Simulated:
    """A simulator, the causes that it draws, and the share of treated views that show its photos."""

    name: str | None
    causes: Collection[str]
    share: float


@dataclass(frozen=True)
class Ward:
    """What a prescription is made from. frame, train: of all images; arrived, members: which of them each slice admits
    by the image part of its rule, and by the whole.
    saved: cost that each intervention saves [probed photos of val, interventions], as shares of the worst error.

    A slice (`item`) is a row of `explanations` with what training photos are given (see `fitting.GIVEN`).
    """

    frame: pd.DataFrame
    train: NDArray[np.bool_]
    arrived: dict[str, Mask]
    members: dict[str, Mask]
    rules: dict[str, Rule]
    val: Val
    saved: NDArray[np.float64]
    interventions: pd.DataFrame
    refused: list[dict[str, Any]]

    def plan(self, item: Any, probability: float, simulated: Simulated) -> pd.DataFrame:
        """Who is treated, and in whose place a simulated photo is shown."""
        drawn = simulated.share if item.cause in simulated.causes else 0.0
        parts = []
        if drawn < 1:
            parts.append(self._treated(item, probability * (1 - drawn)))
        if drawn > 0:
            chosen = self.train & ~self.arrived[item.slice]  # labels stay true, whatever the transform would do
            how = {"slice": item.slice, "remedy": item.cause, "dose_low": item.dose_low, "dose_high": item.dose_high}
            parts.append(self._rows(chosen, {**how, "probability": probability * drawn, "simulator": simulated.name}))
        return pd.concat(parts)

    def _treated(self, item: Any, probability: float) -> pd.DataFrame:
        """The training images that are not in the slice, of every class alike, whatever the label part of its rule: a
        remedy for one class only would teach that dark means this class."""
        low, high = item.given_low, item.given_high
        banned = {r["from"] for r in self.refused if r["remedy"] == item.given and low <= r["dose"] <= high}
        chosen = self.train & ~self.arrived[item.slice] & ~self.frame["label"].isin(banned).to_numpy()
        return self._rows(chosen, {"slice": item.slice, "remedy": item.given, "dose_low": low, "dose_high": high,
                                   "probability": probability, "simulator": None})  # fmt: skip

    def _rows(self, chosen: NDArray[np.bool_], how: dict[str, Any]) -> pd.DataFrame:
        return pd.DataFrame({"image_id": self.frame.loc[chosen, "image_id"]}).assign(**how).astype(PLAN)

    def repeats(self, item: Any, most: int) -> pd.DataFrame:
        """The training images that are in the slice, shown as often as makes them as common as on val, at least twice;
        those without the mark of their class, as often as those with it; none where their groups are too few to teach
        more than themselves, or `most` is 1."""
        members, rule = self.members[item.slice], self.rules[item.slice]
        inside = self.train & members
        have, groups = int(inside.sum()), self.frame.loc[inside, "group"].nunique()
        if most < 2 or groups < GROUPS:
            return pd.DataFrame()
        times = float(np.clip(round(members[self.val.rows].mean() * self.train.sum() / have), 2, most))
        if rule.unmarked:
            times = max(2.0, float(round((self.train & (self.frame["label"] == rule.label)).sum() / have - 1)))
        how = {"slice": item.slice, "remedy": "reweighting" if rule.unmarked else "oversampling"}
        return self._rows(inside, {**how, "dose_low": times, "dose_high": times, "probability": 1.0, "simulator": None})

    def correction(self, item: Any, inside: NDArray[np.bool_]) -> dict[str, Any]:
        """The dose that, given to every photo of the slice before the model looks, gains most on val."""
        probe, rows = self.val.probe, inside[self.val.probed]
        change, groups, weights = self.saved[rows], probe.groups[rows], probe.weights[rows]
        columns = self.interventions.index[self.interventions["remedy"] == item.cause]
        best = max(columns, key=lambda c: float(np.average(change[:, c], weights=weights)))
        gain = cluster_mean(change[:, best], groups, weights=weights, bounds=(-1.0, 1.0))
        rule = self.rules[item.slice]
        return {
            "slice": item.slice,
            "when": Rule(rule.conditions).words(),  # a photo that arrives has no label
            "rule": rule.dump(),
            "remedy": item.cause,
            "dose": float(self.interventions["dose"].iloc[best]),
            "gain": gain.record(),
            "helps": bool(gain.low > 0),
            "chosen_on": "val",
        }
