"""Inputs of the comparison: confirmed slices, plan, candidate models, and images of both splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rule_columns import build_condition_frame
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import assign_halves
from pipeline.slices.candidates.rule_admission import parse_frozen_rules
from pipeline.statistics.model_comparison import Mask, ModelComparison, ModelOutput
from pipeline.storage.artifact_store import read_json

LUMINANCE_ATTRIBUTE = "luminance"  # the attribute that a decline rule may test
REQUIRED_ARMS = {"control", "targeted"}
OPTIONAL_ARMS = {"generic"}


def get_luminance(attributes: pd.DataFrame, rows: NDArray[np.intp]) -> NDArray[np.float64] | None:
    """Return the mean luminance of some rows of `attributes`, NaN if unknown.

    Args:
        attributes: the artifact `attributes`.
        rows: rows, [n].

    Returns:
        Gray levels, float64 [n]; None if luminance is not measured.
    """
    if LUMINANCE_ATTRIBUTE not in attributes:
        return None
    luminance = attributes[LUMINANCE_ATTRIBUTE].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(luminance[rows])


@dataclass(frozen=True)
class ComparisonInputs:
    """The artifacts that a comparison of models needs, and their derived quantities.

    Attributes:
        images: the artifact `images`.
        pixels: uint8 [images, side, side, 3].
        splits: the artifact `splits`.
        attributes: the artifact `attributes`.
        marks: the artifact `marks`.
        model_folder: folder of the baseline.
        validation_set: the validation set.
        membership: the artifact `membership`.
        explanations: the artifact `explanations`.
        plan: the artifact `plan`.
        candidates_folder: folder of the retrained models.
    """

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
        """Return the cost of each error; None if all cost the same."""
        return self.validation_set.error_costs

    @cached_property
    def confirmed_slices(self) -> list[str]:
        """Return the names of the confirmed slices, by rank."""
        return list(parse_frozen_rules(self.explanations))

    @cached_property
    def planned_slices(self) -> list[str]:
        """Return the confirmed slices whose plan treats or repeats training images."""
        planned = set(self.plan["slice"])
        return [name for name in self.confirmed_slices if name in planned]

    @cached_property
    def validation_rows(self) -> NDArray[np.intp]:
        """Return the rows of `images` in the validation set, in its order."""
        return np.asarray(self.validation_set.image_rows, dtype=np.intp)

    @cached_property
    def half_of_row(self) -> NDArray[np.intp]:
        """Return the half of the validation set of each image, intp [images]; -1 outside of it."""
        halves = np.full(len(self.images), -1, dtype=np.intp)
        halves[self.validation_rows] = assign_halves(self.validation_set.folds)
        return halves

    def select_weights(
        self, run: Mapping[str, Any], rows: NDArray[np.intp]
    ) -> list[tuple[Path, Mask]]:
        """Return the weights of a candidate that did not see an image, for all rows together.

        Args:
            run: an entry of `candidate_runs`.
            rows: rows of `images`, [n].

        Returns:
            Weights files, each with its rows, bool [n]. A validation image is left to weights that
            were not trained on its half; other images to the weights that would ship.
        """
        halves = self.half_of_row[rows]
        unseen = run.get("unseen") or [run["file"], run["file"]]
        rows_by_file: dict[str, Mask] = {}
        for half, file in ((-1, run["file"]), (0, unseen[0]), (1, unseen[1])):
            is_inside = halves == half
            if is_inside.any():
                rows_by_file[file] = rows_by_file.get(file, False) | is_inside
        return [(self.candidates_folder / file, mask) for file, mask in rows_by_file.items()]

    @cached_property
    def test_rows(self) -> NDArray[np.intp]:
        """Return the rows of `images` that are labeled and in the test set."""
        is_test = (self.splits["split"] == "test").to_numpy()
        return np.flatnonzero(is_test & self.images["label"].notna().to_numpy())

    @cached_property
    def candidate_runs(self) -> list[dict[str, Any]]:
        """Return the candidate models of the seeds that every arm has, in training order.

        The average of an arm's seeds comes before them and has no seed.
        """
        runs = [dict(run) for run in read_json(self.candidates_folder / "candidates.json")]
        seeds_by_arm: dict[str, set[int | None]] = {}
        for run in runs:
            seeds_by_arm.setdefault(run["arm"], set()).add(run["seed"])
        arms = REQUIRED_ARMS | (set(seeds_by_arm) & OPTIONAL_ARMS)
        seeds = set.intersection(*(seeds_by_arm.get(arm, set()) for arm in arms))
        return [run for run in runs if run["seed"] in seeds and run["arm"] in arms]

    def load_record(self, file: str) -> Any:
        """Return a JSON file of the candidates' folder; None if there is none."""
        path = self.candidates_folder / file
        return read_json(path) if path.is_file() else None

    @property
    def arm_budgets(self) -> list[dict[str, Any]]:
        """Return the training budget of each arm.

        Returns:
            For each arm `arm`, `seeds` (their number), `passes` (image passes of each seed) and
            `rows` (images that these were drawn from).
        """
        runs_by_arm: dict[str, list[dict[str, Any]]] = {}
        for run in self.candidate_runs:
            if run["seed"] is not None:
                runs_by_arm.setdefault(run["arm"], []).append(run)
        budgets = []
        for arm, runs in runs_by_arm.items():
            first = runs[0]
            budget = {"passes": first.get("passes"), "rows": first.get("rows")}
            budgets.append({"arm": arm, "seeds": len(runs), **budget})
        return budgets

    @cached_property
    def condition_frame(self) -> pd.DataFrame:
        """Return the columns that slice rules may test, one row for each image."""
        return build_condition_frame(self.images, self.attributes, self.marks)

    def build_comparison(
        self,
        rows: NDArray[np.intp],
        models: list[ModelOutput],
        slice_masks: Mapping[str, Mask] | None = None,
        condition_masks: Mapping[str, Mask] | None = None,
    ) -> ModelComparison:
        """Return the comparison of models on some labeled images.

        Args:
            rows: rows of `images`, [n].
            models: outputs of the models on these rows.
            slice_masks: members of each slice, bool [n].
            condition_masks: images of every class under the condition of each slice, bool [n].
        """
        indices = {name: index for index, name in enumerate(self.class_names)}
        labels = np.array([indices[label] for label in self.images["label"].iloc[rows]], np.intp)
        groups = self.images["group"].iloc[rows].astype(str).to_numpy()
        return ModelComparison(
            labels,
            groups,
            self.class_names,
            models,
            slice_masks or {},
            self.error_costs,
            condition_masks or {},
        )
