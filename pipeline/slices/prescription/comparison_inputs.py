"""What there is to judge: confirmed slices, the plan, the candidates, and the images of val and test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import build_condition_frame
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.rule_admission import parse_frozen_rules
from pipeline.statistics.model_comparison import Mask, ModelComparison, ModelOutput
from pipeline.storage.artifact_store import read_json

LUMINANCE_ATTRIBUTE = "luminance"  # the attribute that the decline rule asks about


def get_luminance(attributes: pd.DataFrame, rows: NDArray[np.intp]) -> NDArray[np.float64] | None:
    """Mean luminance of rows of `attributes`, NaN where unknown; None where it is not measured."""
    if LUMINANCE_ATTRIBUTE not in attributes:
        return None
    return np.asarray(
        attributes[LUMINANCE_ATTRIBUTE].to_numpy(dtype=np.float64, na_value=np.nan)[rows]
    )


@dataclass(frozen=True)
class ComparisonInputs:
    """The artifacts by which candidates are judged, and what follows from them."""

    images: pd.DataFrame
    pixels: NDArray[np.uint8]
    splits: pd.DataFrame
    attributes: pd.DataFrame
    marks: pd.DataFrame
    model_folder: Path
    validation_set: ValidationSet
    membership: pd.DataFrame
    explanations: pd.DataFrame
    plan: pd.DataFrame
    candidates_folder: Path

    @property
    def class_names(self) -> list[str]:
        """Return the class names; a class index is a position in it."""
        return list(self.validation_set.class_names)

    @property
    def error_costs(self) -> list[list[float]] | None:
        """Return the cost of each error, None where all cost the same."""
        return self.validation_set.error_costs

    @cached_property
    def confirmed_slices(self) -> list[str]:
        """Names of the confirmed slices, by rank."""
        return list(parse_frozen_rules(self.explanations))

    @cached_property
    def planned_slices(self) -> list[str]:
        """Confirmed slices for which training images get a remedy."""
        inside = set(self.plan["slice"])
        return [name for name in self.confirmed_slices if name in inside]

    @cached_property
    def validation_rows(self) -> NDArray[np.intp]:
        """Rows of val in the order of the validation set."""
        return np.asarray(self.validation_set.image_rows, dtype=np.intp)

    @cached_property
    def test_rows(self) -> NDArray[np.intp]:
        """Rows of the labeled images of test."""
        return np.flatnonzero(
            (self.splits["split"] == "test").to_numpy() & self.images["label"].notna().to_numpy()
        )

    @cached_property
    def candidate_runs(self) -> list[dict[str, Any]]:
        """The candidates of seeds that every arm has, in the order in which they were trained."""
        runs = [dict(r) for r in read_json(self.candidates_folder / "candidates.json")]
        arms = {"control", "targeted"} | ({r["arm"] for r in runs} & {"generic"})
        seeds = set.intersection(*({r["seed"] for r in runs if r["arm"] == arm} for arm in arms))
        return [r for r in runs if r["seed"] in seeds and r["arm"] in arms]

    @property
    def arm_budgets(self) -> list[dict[str, Any]]:
        """What each arm was given: arm, seeds, image passes of each seed, images that these were drawn from."""
        table = {
            arm: [r for r in self.candidate_runs if r["arm"] == arm]
            for arm in dict.fromkeys(r["arm"] for r in self.candidate_runs)
        }
        return [
            {
                "arm": arm,
                "seeds": len(rows),
                "passes": rows[0].get("passes"),
                "rows": rows[0].get("rows"),
            }
            for arm, rows in table.items()
        ]

    @cached_property
    def condition_frame(self) -> pd.DataFrame:
        """What the slices' rules may ask about, rows as in images."""
        return build_condition_frame(self.images, self.attributes, self.marks)

    def build_comparison(
        self,
        rows: NDArray[np.intp],
        models: list[ModelOutput],
        slice_masks: Mapping[str, Mask] = {},
    ) -> ModelComparison:
        """These rows as one comparison."""
        index = {name: k for k, name in enumerate(self.class_names)}
        truth = np.array([index[label] for label in self.images["label"].iloc[rows]], dtype=np.intp)
        groups = self.images["group"].iloc[rows].astype(str).to_numpy()
        return ModelComparison(
            truth, groups, self.class_names, models, slice_masks, self.error_costs
        )
