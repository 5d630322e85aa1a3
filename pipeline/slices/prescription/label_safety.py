"""Which transforms turn images of one class into images of another, and may not train: asked on training images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.slices.causes.good_images import sample_by_group

Pixels = NDArray[np.uint8]
ShareMatrix = NDArray[np.float64]
MIN_CLASS_GROUPS = 2  # of a class, at least: one odd sign is no rule


def sample_each_class(
    labels: NDArray[np.integer[Any]],
    groups: NDArray[np.str_],
    rows: NDArray[np.intp],
    max_per_class: int,
    seed: int,
) -> NDArray[np.intp]:
    """Up to `most` of `rows` for each class, round robin over groups; truth, groups: of every image."""
    rng = np.random.default_rng(seed)
    chosen = [
        sample_by_group(groups, rows[labels[rows] == label], max_per_class, rng)
        for label in np.unique(labels[rows])
    ]
    return np.concatenate(chosen) if chosen else rows[:0]


@dataclass(frozen=True)
class LabelSafetyInputs:
    """Training images that a model reads rightly when left alone, and who treats them and who is asked.

    pixels: uint8 [n, S, S, 3]; truth: class index [n]; groups [n]; names: of the classes; treat(remedy, pixels, low,
    high, seed) -> pixels; guess(pixels) -> class index [n].
    """

    pixels: Pixels
    labels: NDArray[np.intp]
    groups: NDArray[np.str_]
    class_names: Sequence[str]
    apply_remedy: Callable[[str, Pixels, float, float, int], Pixels]
    predict_labels: Callable[[Pixels], NDArray[np.intp]]
    _share_cache: dict[tuple[str, float], ShareMatrix] = field(default_factory=dict)

    def select_correct(self) -> LabelSafetyInputs:
        """Those that the model reads rightly."""
        right = (
            self.predict_labels(self.pixels) == self.labels
            if len(self.labels)
            else np.zeros(0, bool)
        )
        parts = (self.pixels[right], self.labels[right], self.groups[right])
        return LabelSafetyInputs(*parts, self.class_names, self.apply_remedy, self.predict_labels)

    def count_by_class(self) -> NDArray[np.intp]:
        """Images of each class [classes]."""
        return np.bincount(self.labels, minlength=len(self.class_names))

    def measure_prediction_shares(self, remedy: str, strength: float) -> ShareMatrix:
        """float64 [from, to]: share of each class's images that is read as each class after the transform."""
        if (remedy, strength) not in self._share_cache:
            moved = np.zeros((len(self.class_names), len(self.class_names)))
            if len(self.labels):
                np.add.at(
                    moved,
                    (
                        self.labels,
                        self.predict_labels(
                            self.apply_remedy(remedy, self.pixels, strength, strength, 0)
                        ),
                    ),
                    1,
                )
            self._share_cache[remedy, strength] = (
                moved / np.maximum(self.count_by_class(), 1)[:, None]
            )
        return self._share_cache[remedy, strength]

    def measure_label_swaps(self, remedy: str, strength: float) -> ShareMatrix:
        """float64 [from, to]: how consistently a transform makes one class another.

        A relabeling is told from a mere failure by its inverse, where there is one: what sends most images of a to b
        sends, undone, most of b to a (a mirrored "keep left" is "keep right", and back again).
        """
        there, inverse = (
            self.measure_prediction_shares(remedy, strength),
            plugins.load_plugin("remedies", remedy).invert_strength(strength),
        )
        found = (
            there
            if inverse is None
            else np.minimum(there, self.measure_prediction_shares(remedy, inverse).T)
        )
        return np.where(np.eye(len(self.class_names), dtype=bool), 0.0, found)


def list_label_changing_remedies() -> list[str]:
    """The remedies that may train and may change what a image shows."""
    found = {
        name: plugins.load_plugin("remedies", name) for name in plugins.list_plugins("remedies")
    }
    return [name for name, plugin in found.items() if plugin.IS_CAUSE and plugin.MAY_CHANGE_LABEL]


def find_label_changes(
    inputs: LabelSafetyInputs, strengths: Mapping[str, Sequence[float]], min_share: float
) -> list[dict[str, Any]]:
    """Transforms that send at least the share `least` of a class to one other: [{remedy, strength, from, to, share, n,
    groups}]; strengths: those to ask about, by remedy. n, groups: how many images of that class were asked about."""
    right, found = inputs.select_correct(), []
    for remedy in strengths:
        for strength in strengths[remedy]:
            for a, b in np.argwhere(right.measure_label_swaps(remedy, strength) >= min_share):
                groups = len(np.unique(right.groups[right.labels == a]))
                if groups >= MIN_CLASS_GROUPS:
                    pair = {"from": inputs.class_names[a], "to": inputs.class_names[b]}
                    share = round(float(right.measure_prediction_shares(remedy, strength)[a, b]), 4)
                    told = {"remedy": remedy, "strength": float(strength), **pair, "share": share}
                    found.append({**told, "n": int(right.count_by_class()[a]), "groups": groups})
    return found
