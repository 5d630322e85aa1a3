"""The validation set: all that stages know about the validation images, as one artifact."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.domain.probe_results import NOT_ASKED, ProbeResults, compute_cell_weights
from pipeline.statistics.classification.error_costs import compute_utilities

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
# Smaller arrays are read at once: each mapped file keeps a file handle open.
MEMORY_MAP_BYTES = 1 << 20

_TABLES = ("frame", "other_columns")
_SETTINGS = ("class_names", "error_costs")
_BY_PROBED_IMAGE = ("probed_rows", "probe_weights", "screen_weights", "responses")


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """The labeled validation images with the predictions and probe results of one model.

    All arrays have the rows of `frame`, except the four of the probed images.

    Attributes:
        frame: `image_id`, `label`, `group`, then every column that a slice rule may test.
        other_columns: metadata that no rule of this run may test, such as a column with one value.
        image_rows: intp [rows], position of each image in the artifact `images`.
        folds: intp [rows], cross-validation fold.
        labels: intp [rows], class index of the label.
        predictions: intp [rows], class index of the prediction.
        confidences: float64 [rows], probability of the prediction after temperature scaling.
        margins: float64 [rows], logit of the label less the best other logit.
        logits: float32 [rows, classes], before temperature scaling.
        embeddings: float32 [rows, features], from frozen packaged weights.
        has_label_issue: bool [rows], whether the label is in doubt. No slice is proposed or tested
            on such an image.
        probed_rows: intp [probed], row of each image that interventions were tried on.
        probe_weights: float64 [probed], number of validation images that each one represents.
        screen_weights: float64 [probed], the same among the screened images, on which every
            intervention was tried; 0 for the others.
        responses: int16 [probed, interventions], class index predicted after each intervention, and
            `NOT_ASKED` where it was not tried.
        class_names: a class index is a position in it.
        error_costs: [label][prediction], as a share of the worst error; None if all errors cost the
            same.
    """

    frame: pd.DataFrame
    other_columns: pd.DataFrame
    image_rows: NDArray[np.intp]
    folds: NDArray[np.intp]
    labels: NDArray[np.intp]
    predictions: NDArray[np.intp]
    confidences: FloatArray
    margins: FloatArray
    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    has_label_issue: BoolArray
    probed_rows: NDArray[np.intp]
    probe_weights: FloatArray
    screen_weights: FloatArray
    responses: NDArray[np.int16]
    class_names: tuple[str, ...]
    error_costs: list[list[float]] | None = None

    @property
    def image_count(self) -> int:
        """Return the number of images."""
        return len(self.frame)

    @property
    def intervention_count(self) -> int:
        """Return the number of interventions that the probe tried."""
        return int(self.responses.shape[1])

    @cached_property
    def is_misclassified(self) -> BoolArray:
        """Return bool [rows]: the prediction is not the label."""
        return np.asarray(self.labels != self.predictions)

    @cached_property
    def error_losses(self) -> FloatArray:
        """Return float64 [rows]: cost of each prediction as a share of the worst error.

        A correct prediction costs 0.
        """
        return 1.0 - compute_utilities(self.labels, self.predictions, self.error_costs)

    @cached_property
    def groups(self) -> NDArray[np.str_]:
        """Return str [rows]: the group of each image."""
        return self.frame["group"].to_numpy(dtype=str)

    @property
    def image_ids(self) -> pd.Series:
        """Return str [rows]: the id of each image."""
        return self.frame["image_id"]

    @cached_property
    def probabilities(self) -> FloatArray:
        """Return float64 [rows, classes]: the model's probabilities before temperature scaling."""
        return np.asarray(softmax(np.asarray(self.logits, dtype=np.float64), axis=1))

    @property
    def all_columns(self) -> pd.DataFrame:
        """Return `frame` with the columns that a rule of an earlier run may test."""
        return pd.concat([self.frame, self.other_columns], axis=1)

    @cached_property
    def probe_results(self) -> ProbeResults:
        """Return the probe's measurements as correct or not."""
        rows = self.probed_rows
        return ProbeResults(
            ~self.is_misclassified[rows],
            np.asarray(self.responses) == self.labels[rows, None],
            np.asarray(self.margins)[rows],
            pd.factorize(self.frame["group"])[0][rows],
            np.asarray(self.probe_weights),
            compute_cell_weights(
                self.responses, np.asarray(self.probe_weights), np.asarray(self.screen_weights)
            ),
        )

    @cached_property
    def saved_costs(self) -> FloatArray:
        """Return float64 [probed, interventions]: error cost that each intervention saves.

        If all errors cost the same, it is correct after less correct before. It is NaN where the
        intervention was not tried.
        """
        labels, after = self.labels[self.probed_rows], np.asarray(self.responses)
        worth_after = compute_utilities(
            np.repeat(labels[:, None], after.shape[1], axis=1), after, self.error_costs
        )
        worth_before = compute_utilities(
            labels, self.predictions[self.probed_rows], self.error_costs
        )
        return np.where(after == NOT_ASKED, np.nan, worth_after - worth_before[:, None])

    def find_members(self, slice_name: str, membership: pd.DataFrame) -> BoolArray:
        """Return bool [rows]: whether each image belongs to a slice.

        Args:
            slice_name: the slice.
            membership: the artifact of that name.
        """
        members = membership.loc[membership["slice"] == slice_name, "image_id"]
        return self.frame["image_id"].isin(members).to_numpy()

    def weigh_slice(self, slice_name: str, image_count: int, membership: pd.DataFrame) -> float:
        """Return the number of images of a slice times the mean cost of its errors.

        Args:
            slice_name: the slice.
            image_count: number of its images.
            membership: the artifact of that name.
        """
        failing = self.find_members(slice_name, membership) & self.is_misclassified
        mean_cost = self.error_losses[failing].mean() if failing.any() else 1.0
        return float(image_count * mean_cost)

    def select_rows(self, keep: BoolArray) -> ValidationSet:
        """Return some of the images, and the probe's measurements of those among them.

        Args:
            keep: bool [rows].
        """
        is_probe_kept = keep[self.probed_rows]
        kept: dict[str, Any] = {}
        for name in _TABLES:
            kept[name] = getattr(self, name)[keep].reset_index(drop=True)
        for name in _ARRAYS:
            selected = is_probe_kept if name in _BY_PROBED_IMAGE else keep
            kept[name] = np.asarray(getattr(self, name)[selected])
        kept["probed_rows"] = (np.cumsum(keep) - 1)[kept["probed_rows"]]
        return replace(self, **kept)

    def exclude_label_issues(self) -> ValidationSet:
        """Return the images whose label is not in doubt; slices are proposed and tested on them."""
        if not np.any(self.has_label_issue):
            return self
        return self.select_rows(~np.asarray(self.has_label_issue))

    def exclude_images(self, image_ids: frozenset[str]) -> ValidationSet:
        """Return the set without the images of these ids, or itself if it holds none of them."""
        is_excluded = self.frame["image_id"].isin(image_ids).to_numpy()
        return self.select_rows(~is_excluded) if is_excluded.any() else self

    def save(self, folder: Path) -> None:
        """Write the set as Parquet tables, `.npy` arrays and one JSON file into a new folder."""
        folder.mkdir()
        for name in _TABLES:
            getattr(self, name).to_parquet(folder / f"{name}.parquet", index=False)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", np.asarray(getattr(self, name)), allow_pickle=False)
        settings = {name: getattr(self, name) for name in _SETTINGS}
        (folder / "settings.json").write_text(
            json.dumps(settings, ensure_ascii=False), encoding="utf-8"
        )

    @classmethod
    def load(cls, folder: Path) -> ValidationSet:
        """Return the set that `save` wrote; large arrays are memory-mapped.

        Raises:
            OSError: a file is missing.
            ValueError: a file is not what `save` wrote.
        """
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        values: dict[str, Any] = {}
        for name in _TABLES:
            values[name] = pd.read_parquet(folder / f"{name}.parquet")
        # Parquet does not keep the number of rows of a table without columns.
        values["other_columns"] = values["other_columns"].reindex(values["frame"].index)
        for name in _ARRAYS:
            path = folder / f"{name}.npy"
            is_large = path.stat().st_size > MEMORY_MAP_BYTES
            values[name] = np.load(path, mmap_mode="r" if is_large else None, allow_pickle=False)
        return cls(
            **values,
            class_names=tuple(settings["class_names"]),
            error_costs=settings["error_costs"],
        )


_ARRAYS = tuple(
    item.name for item in fields(ValidationSet) if item.name not in (*_TABLES, *_SETTINGS)
)
