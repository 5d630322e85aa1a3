"""Which transforms turn photos of one class into photos of another, and may not train: asked on training photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.slicing.pool import sample

Pixels = NDArray[np.uint8]
Shares = NDArray[np.float64]
GROUPS = 2  # of a class, at least: one odd sign is no rule


def some_of_each_class(
    truth: NDArray[np.integer[Any]], groups: NDArray[np.str_], rows: NDArray[np.intp], most: int, seed: int
) -> NDArray[np.intp]:
    """Up to `most` of `rows` for each class, round robin over groups; truth, groups: of every image."""
    rng = np.random.default_rng(seed)
    chosen = [sample(groups, rows[truth[rows] == label], most, rng) for label in np.unique(truth[rows])]
    return np.concatenate(chosen) if chosen else rows[:0]


@dataclass(frozen=True)
class Shown:
    """Training photos that a model reads rightly when left alone, and who treats them and who is asked.

    pixels: uint8 [n, S, S, 3]; truth: class index [n]; groups [n]; names: of the classes; treat(remedy, pixels, low,
    high, seed) -> pixels; guess(pixels) -> class index [n].
    """

    pixels: Pixels
    truth: NDArray[np.intp]
    groups: NDArray[np.str_]
    names: Sequence[str]
    treat: Callable[[str, Pixels, float, float, int], Pixels]
    guess: Callable[[Pixels], NDArray[np.intp]]
    _asked: dict[tuple[str, float], Shares] = field(default_factory=dict)

    def read_rightly(self) -> Shown:
        """Those that the model reads rightly."""
        right = self.guess(self.pixels) == self.truth if len(self.truth) else np.zeros(0, bool)
        parts = (self.pixels[right], self.truth[right], self.groups[right])
        return Shown(*parts, self.names, self.treat, self.guess)

    def count(self) -> NDArray[np.intp]:
        """Photos of each class [classes]."""
        return np.bincount(self.truth, minlength=len(self.names))

    def sent(self, remedy: str, dose: float) -> Shares:
        """float64 [from, to]: share of each class's photos that is read as each class after the transform."""
        if (remedy, dose) not in self._asked:
            moved = np.zeros((len(self.names), len(self.names)))
            if len(self.truth):
                np.add.at(moved, (self.truth, self.guess(self.treat(remedy, self.pixels, dose, dose, 0))), 1)
            self._asked[remedy, dose] = moved / np.maximum(self.count(), 1)[:, None]
        return self._asked[remedy, dose]

    def swapped(self, remedy: str, dose: float) -> Shares:
        """float64 [from, to]: how consistently a transform makes one class another.

        A relabelling is told from a mere failure by its inverse, where there is one: what sends most photos of a to b
        sends, undone, most of b to a (a mirrored "keep left" is "keep right", and back again).
        """
        there, inverse = self.sent(remedy, dose), plugins.module("remedies", remedy).inverse(dose)
        found = there if inverse is None else np.minimum(there, self.sent(remedy, inverse).T)
        return np.where(np.eye(len(self.names), dtype=bool), 0.0, found)


def may_relabel() -> list[str]:
    """The remedies that may train and may change what a photo shows."""
    found = {name: plugins.module("remedies", name) for name in plugins.names("remedies")}
    return [name for name, plugin in found.items() if plugin.CAUSE and plugin.CHANGES_LABEL]


def label_changes(shown: Shown, doses: Mapping[str, Sequence[float]], least: float) -> list[dict[str, Any]]:
    """Transforms that send at least the share `least` of a class to one other: [{remedy, dose, from, to, share, n,
    groups}]; doses: those to ask about, by remedy. n, groups: how many photos of that class were asked about."""
    right, found = shown.read_rightly(), []
    for remedy in doses:
        for dose in doses[remedy]:
            for a, b in np.argwhere(right.swapped(remedy, dose) >= least):
                groups = len(np.unique(right.groups[right.truth == a]))
                if groups >= GROUPS:
                    pair = {"from": shown.names[a], "to": shown.names[b]}
                    share = round(float(right.sent(remedy, dose)[a, b]), 4)
                    told = {"remedy": remedy, "dose": float(dose), **pair, "share": share}
                    found.append({**told, "n": int(right.count()[a]), "groups": groups})
    return found
