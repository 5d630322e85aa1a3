"""What there is to judge: confirmed slices, the plan, the candidates, and the photos of val and test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.evidence.trial import Judged, Mask, Trial
from pipeline.slicing.admission import frozen_rules
from pipeline.slicing.rules import conditions_frame
from pipeline.store import read_json

LIGHT = "luminance"  # the attribute that the decline rule asks about


def light_of(attributes: pd.DataFrame, rows: NDArray[np.intp]) -> NDArray[np.float64] | None:
    """Mean luminance of rows of `attributes`, NaN where unknown; None where it is not measured."""
    if LIGHT not in attributes:
        return None
    return np.asarray(attributes[LIGHT].to_numpy(dtype=np.float64, na_value=np.nan)[rows])


@dataclass(frozen=True)
class Inputs:
    """The artifacts by which candidates are judged, and what follows from them."""

    images: pd.DataFrame
    pixels: NDArray[np.uint8]
    names: list[str]
    splits: pd.DataFrame
    attributes: pd.DataFrame
    marks: pd.DataFrame
    model: Path
    predictions: pd.DataFrame
    membership: pd.DataFrame
    explanations: pd.DataFrame
    plan: pd.DataFrame
    candidates: Path
    costs: list[list[float]] | None = None  # of each error, where they differ

    @cached_property
    def confirmed(self) -> list[str]:
        """Names of the confirmed slices, by rank."""
        return list(frozen_rules(self.explanations))

    @cached_property
    def planned(self) -> list[str]:
        """Confirmed slices for which training images get a remedy."""
        inside = set(self.plan["slice"])
        return [name for name in self.confirmed if name in inside]

    @cached_property
    def val(self) -> NDArray[np.intp]:
        """Rows of val in the order of the predictions."""
        position = pd.Series(np.arange(len(self.images)), index=self.images["image_id"])
        return position.loc[self.predictions["image_id"]].to_numpy(dtype=np.intp)

    @cached_property
    def test(self) -> NDArray[np.intp]:
        """Rows of the labelled photos of test."""
        return np.flatnonzero((self.splits["split"] == "test").to_numpy() & self.images["label"].notna().to_numpy())

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        """The candidates of seeds that every arm has, in the order in which they were trained."""
        runs = [dict(r) for r in read_json(self.candidates / "candidates.json")]
        arms = {"control", "targeted"} | ({r["arm"] for r in runs} & {"generic"})
        seeds = set.intersection(*({r["seed"] for r in runs if r["arm"] == arm} for arm in arms))
        return [r for r in runs if r["seed"] in seeds and r["arm"] in arms]

    @property
    def budget(self) -> list[dict[str, Any]]:
        """What each arm was given: arm, seeds, image passes of each seed, photos that these were drawn from."""
        table = {arm: [r for r in self.runs if r["arm"] == arm] for arm in dict.fromkeys(r["arm"] for r in self.runs)}
        return [
            {"arm": arm, "seeds": len(rows), "passes": rows[0].get("passes"), "rows": rows[0].get("rows")}
            for arm, rows in table.items()
        ]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """What the slices' rules may ask about, rows as in images."""
        return conditions_frame(self.images, self.attributes, self.marks)

    def trial(self, rows: NDArray[np.intp], models: list[Judged], slices: Mapping[str, Mask] = {}) -> Trial:
        """These rows as one comparison."""
        index = {name: k for k, name in enumerate(self.names)}
        truth = np.array([index[label] for label in self.images["label"].iloc[rows]], dtype=np.intp)
        groups = self.images["group"].iloc[rows].astype(str).to_numpy()
        return Trial(truth, groups, self.names, models, slices, self.costs)
