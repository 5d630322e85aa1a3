"""The check which transforms turn images of one class into another, on training images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.remedies import list_remedies, load_remedy
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.group_sampling import sample_by_group

Pixels = NDArray[np.uint8]
ShareMatrix = NDArray[np.float64]
"""float64 [classes, classes]: a share for each label (row) and prediction (column)."""
CHECK_SEED = 0  # seed of transforms with random parts, fixed for all classes and strengths


def sample_each_class(
    labels: NDArray[np.integer[Any]],
    groups: NDArray[np.str_],
    rows: NDArray[np.intp],
    max_per_class: int,
    seed: int,
) -> NDArray[np.intp]:
    """Return a sample of rows for each class that takes turns among groups.

    Args:
        labels: class index of every image, [images].
        groups: the group of every image, [images].
        rows: rows to sample from, [n].
        max_per_class: largest number of rows of each class.
        seed: seed of the sample.
    """
    rng = np.random.default_rng(seed)
    chosen = [rows[:0]]
    for label in np.unique(labels[rows]):
        chosen.append(sample_by_group(groups, rows[labels[rows] == label], max_per_class, rng))
    return np.concatenate(chosen)


@dataclass(frozen=True)
class LabelSafetyInputs:
    """Training images of every class, and the functions that treat and predict them.

    Attributes:
        pixels: uint8 [n, side, side, 3].
        labels: class index of each image, [n].
        groups: the group of each image, [n].
        class_names: names of the classes.
        apply_remedy: (remedy, pixels, low, high, seed) to treated pixels.
        predict_labels: pixels to class indices [n].
    """

    pixels: Pixels
    labels: NDArray[np.intp]
    groups: NDArray[np.str_]
    class_names: Sequence[str]
    apply_remedy: Callable[[str, Pixels, float, float, int], Pixels]
    predict_labels: Callable[[Pixels], NDArray[np.intp]]
    _share_cache: dict[tuple[str, float], ShareMatrix] = field(default_factory=dict)

    def select_correct(self) -> LabelSafetyInputs:
        """Return the images that the model predicts correctly without a transform."""
        is_correct = np.zeros(0, bool)
        if len(self.labels):
            is_correct = self.predict_labels(self.pixels) == self.labels
        return replace(
            self,
            pixels=self.pixels[is_correct],
            labels=self.labels[is_correct],
            groups=self.groups[is_correct],
            _share_cache={},
        )

    def count_by_class(self) -> NDArray[np.intp]:
        """Return the number of images of each class, [classes]."""
        return np.bincount(self.labels, minlength=len(self.class_names))

    def measure_prediction_shares(self, remedy: str, strength: float) -> ShareMatrix:
        """Return the share of each class that is predicted as each class after a transform.

        Args:
            remedy: plug-in that applies the transform.
            strength: its strength.

        Returns:
            float64 [classes, classes], labels by predictions; cached.
        """
        key = (remedy, strength)
        if key not in self._share_cache:
            counts = np.zeros((len(self.class_names), len(self.class_names)))
            if len(self.labels):
                treated = self.apply_remedy(remedy, self.pixels, strength, strength, CHECK_SEED)
                np.add.at(counts, (self.labels, self.predict_labels(treated)), 1)
            self._share_cache[key] = counts / np.maximum(self.count_by_class(), 1)[:, None]
        return self._share_cache[key]

    def measure_label_swaps(self, remedy: str, strength: float) -> ShareMatrix:
        """Return how consistently a transform turns each class into each other class.

        The inverse transform distinguishes a change of label from a mere failure: if most images of
        a are then predicted as b, the inverse must turn most images of b into a. A mirrored "keep
        left" is "keep right", and a mirrored "keep right" is "keep left".

        Args:
            remedy: plug-in that applies the transform.
            strength: its strength.

        Returns:
            float64 [classes, classes], labels by predictions; 0 on the diagonal.
        """
        shares = self.measure_prediction_shares(remedy, strength)
        inverse = load_remedy(remedy).invert_strength(strength)
        if inverse is not None:
            shares = np.minimum(shares, self.measure_prediction_shares(remedy, inverse).T)
        return np.where(np.eye(len(self.class_names), dtype=bool), 0.0, shares)


def list_label_changing_remedies() -> list[str]:
    """Return the remedies that can be a cause and may change an image's label."""
    names = []
    for name in list_remedies():
        plugin = load_remedy(name)
        if plugin.IS_CAUSE and plugin.MAY_CHANGE_LABEL:
            names.append(name)
    return names


def find_label_changes(
    inputs: LabelSafetyInputs, strengths: Mapping[str, Sequence[float]], min_share: float
) -> list[dict[str, Any]]:
    """Return the transforms that turn images of one class into another.

    Args:
        inputs: training images; only correctly predicted ones are used.
        strengths: strengths to check for each remedy.
        min_share: least share of a class that must become one other class.

    Returns:
        For each change `remedy`, `strength`, `from` and `to` (class names), `share`, and the
        number of checked images (`n`) and groups (`groups`) of the class.
    """
    correct = inputs.select_correct()
    changes = []
    for remedy, remedy_strengths in strengths.items():
        for strength in remedy_strengths:
            swaps = correct.measure_label_swaps(remedy, strength)
            shares = correct.measure_prediction_shares(remedy, strength)
            for label, prediction in np.argwhere(swaps >= min_share):
                group_count = len(np.unique(correct.groups[correct.labels == label]))
                if group_count < CONSTANTS.prescription.min_class_groups:
                    continue
                change = {
                    "remedy": remedy,
                    "strength": float(strength),
                    "from": inputs.class_names[label],
                    "to": inputs.class_names[prediction],
                    "share": round(float(shares[label, prediction]), 4),
                    "n": int(correct.count_by_class()[label]),
                    "groups": group_count,
                }
                changes.append(change)
    return changes
