"""The validation set: everything that stages know about the validation images, as one object and one artifact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.statistics.error_costs import compute_utilities

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
MEMORY_MAP_BYTES = 1 << 20  # smaller arrays are read at once: a mapped file costs a handle

_TABLES = ("frame", "other_columns")
_SETTINGS = ("class_names", "error_costs")
_BY_PROBED_IMAGE = ("probed_rows", "probe_weights", "responses", "signatures")


@dataclass(frozen=True)
class ProbeResults:
    """The measurements of the probe. All arrays have one row for each probed image.

    Attributes:
        correct: bool [probed], whether the prediction was correct before any intervention.
        after: bool [probed, interventions], whether it is correct after each intervention.
        margin: float64 [probed], logit of the label less the best other logit, in logits.
        groups: int [probed], code of the group of each image.
        weights: float64 [probed], how many validation images each one represents.
    """

    correct: BoolArray
    after: BoolArray
    margin: FloatArray
    groups: NDArray[np.intp]
    weights: FloatArray

    @property
    def change(self) -> FloatArray:
        """Return float64 [probed, interventions]: correct after less correct before (-1, 0 or 1)."""
        return np.asarray(self.after.astype(float) - self.correct[:, None])

    def part(self, rows: NDArray[np.intp] | BoolArray) -> ProbeResults:
        """Return the results of some rows.

        Args:
            rows: indices, or bool [probed].
        """
        return ProbeResults(*(getattr(self, item.name)[rows] for item in fields(self)))


@dataclass(frozen=True)
class ProbeMeasurements:
    """What interventions did to a sample of the validation images.

    Attributes:
        image_ids: str [probed].
        weights: float64 [probed], how many validation images each one represents.
        signatures: float32 [probed, interventions], change of the label's log-probability (natural logarithm).
        responses: int16 [probed, interventions], class index predicted after the intervention.
    """

    image_ids: Sequence[str]
    weights: FloatArray
    signatures: NDArray[np.float32]
    responses: NDArray[np.int16]

    @classmethod
    def empty(cls) -> ProbeMeasurements:
        """Return the measurements of a probe that tried nothing."""
        return cls([], np.zeros(0), np.zeros((0, 0), np.float32), np.zeros((0, 0), np.int16))


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """The labeled validation images with the predictions and probe results of one model.

    All arrays have the rows of `frame`, except the four of the probed images.

    Attributes:
        frame: `image_id`, `label`, `group`, then every column that a slice rule may test.
        other_columns: metadata that no rule of this run may test, such as a camera that is the only one left.
        image_rows: intp [rows], position of each image in the artifact `images`.
        folds: intp [rows], cross-validation fold.
        labels: intp [rows], class index of the label.
        predictions: intp [rows], class index of the prediction.
        confidences: float64 [rows], probability of the prediction after temperature scaling.
        margins: float64 [rows], logit of the label less the best other logit.
        logits: float32 [rows, classes], before temperature scaling.
        embeddings: float32 [rows, features], from frozen packaged weights.
        has_label_issue: bool [rows], whether the label is in doubt, so that no slice is sought or tested on the image.
        probed_rows: intp [probed], row of each image on which interventions were tried.
        probe_weights: float64 [probed], how many validation images each one represents.
        responses: int16 [probed, interventions], class index predicted after each intervention.
        signatures: float32 [probed, interventions], change of the label's log-probability (natural logarithm).
        class_names: a class index is a position in it.
        error_costs: [label][prediction], as a share of the worst error; None where all errors cost the same.
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
    responses: NDArray[np.int16]
    signatures: NDArray[np.float32]
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
        """Return float64 [rows]: cost of each prediction as a share of the worst error; 0 where it is correct."""
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
        """Return `frame` with the columns that no rule of this run may test; an earlier run's rule may."""
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
        )

    @cached_property
    def row_signatures(self) -> NDArray[np.float32]:
        """Return float32 [rows, interventions]: `signatures` at the rows of the probed images, NaN elsewhere."""
        wide = np.full((len(self.frame), self.signatures.shape[1]), np.nan, np.float32)
        wide[self.probed_rows] = self.signatures
        return wide

    @cached_property
    def saved_costs(self) -> FloatArray:
        """Return float64 [probed, interventions]: error cost that each intervention saves.

        Where all errors cost the same it is correct after less correct before.
        """
        labels, after = self.labels[self.probed_rows], np.asarray(self.responses)
        worth_after = compute_utilities(
            np.repeat(labels[:, None], after.shape[1], axis=1), after, self.error_costs
        )
        worth_before = compute_utilities(
            labels, self.predictions[self.probed_rows], self.error_costs
        )
        return np.asarray(worth_after - worth_before[:, None], dtype=np.float64)

    def find_members(self, slice_name: str, membership: pd.DataFrame) -> BoolArray:
        """Return bool [rows]: whether each image belongs to a slice.

        Args:
            membership: the artifact of that name.
        """
        members = membership.loc[membership["slice"] == slice_name, "image_id"]
        return self.frame["image_id"].isin(members).to_numpy()

    def weigh_slice(self, slice_name: str, image_count: int, membership: pd.DataFrame) -> float:
        """Return the images of a slice times the mean cost of its errors.

        Args:
            slice_name: the slice.
            image_count: number of its images.
            membership: the artifact of that name.
        """
        wrong = self.find_members(slice_name, membership) & self.is_misclassified
        return float(image_count * (self.error_losses[wrong].mean() if wrong.any() else 1.0))

    def select_rows(self, keep: BoolArray) -> ValidationSet:
        """Return the images of some rows, and the probe's measurements of those among them.

        Args:
            keep: bool [rows].
        """
        is_probe_kept = keep[self.probed_rows]
        kept: dict[str, Any] = {
            name: getattr(self, name)[keep].reset_index(drop=True) for name in _TABLES
        }
        for name in _ARRAYS:
            kept[name] = np.asarray(
                getattr(self, name)[is_probe_kept if name in _BY_PROBED_IMAGE else keep]
            )
        kept["probed_rows"] = (np.cumsum(keep) - 1)[kept["probed_rows"]]
        return replace(self, **kept)

    def without_label_issues(self) -> ValidationSet:
        """Return the images whose label is not in doubt; slices are sought and tested on these."""
        return (
            self.select_rows(~np.asarray(self.has_label_issue))
            if np.any(self.has_label_issue)
            else self
        )

    def without_images(self, image_ids: frozenset[str]) -> ValidationSet:
        """Return the set without the images of these ids."""
        erased = self.frame["image_id"].isin(image_ids).to_numpy()
        return self.select_rows(~erased) if erased.any() else self

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
        values: dict[str, Any] = {
            name: pd.read_parquet(folder / f"{name}.parquet") for name in _TABLES
        }
        # Parquet forgets how many rows a table without columns has
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


def build_validation_set(
    columns: tuple[pd.DataFrame, pd.DataFrame],
    probe: ProbeMeasurements,
    *,
    splits: pd.DataFrame,
    classes: dict[str, Any],
    predictions: pd.DataFrame,
    embeddings: NDArray[np.float32],
    metrics: dict[str, Any],
    label_issues: pd.DataFrame,
) -> ValidationSet:
    """Return the validation set, its rows in the order of `predictions`.

    Args:
        columns: of every image, the columns that a rule may test (with `image_id`, `label` and `group`), and the
            other metadata. Rows as in `images`.
        probe: the probe's measurements.
        splits: the artifact, as the further arguments.
        classes: its `names` give the class indices. Predictions for other labels are dropped.
        predictions: of the labeled validation images.
        embeddings: float32 [images, features].
        metrics: its `costs` are the error costs.
        label_issues: the images whose labels are in doubt.
    """
    frame, other_columns = columns
    names = pd.Index(classes["names"])
    position = pd.Index(frame["image_id"])
    is_val = splits["split"].to_numpy() == "val"
    usable = predictions["label"].isin(names) & predictions["image_id"].isin(position[is_val])
    table = predictions[usable]
    rows = position.get_indexer(pd.Index(table["image_id"]))
    part = frame.iloc[rows].reset_index(drop=True)
    return ValidationSet(
        frame=part,
        other_columns=other_columns.iloc[rows].reset_index(drop=True),
        image_rows=rows,
        folds=splits["fold"].to_numpy()[rows],
        labels=names.get_indexer(pd.Index(table["label"])),
        predictions=names.get_indexer(pd.Index(table["predicted"])),
        confidences=table["confidence"].to_numpy(dtype=np.float64),
        margins=table["margin"].to_numpy(dtype=np.float64),
        logits=table.filter(regex=r"^logit_\d+$").to_numpy(dtype=np.float32),
        embeddings=np.asarray(embeddings[rows]),
        has_label_issue=table["image_id"].isin(set(label_issues["image_id"])).to_numpy(),
        probed_rows=pd.Index(part["image_id"]).get_indexer(pd.Index(probe.image_ids)),
        probe_weights=np.asarray(probe.weights, dtype=np.float64),
        responses=np.asarray(probe.responses),
        signatures=np.asarray(probe.signatures),
        class_names=tuple(classes["names"]),
        error_costs=metrics.get("costs"),
    )
