"""Good photos, and what treatments make of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.slicing.repair import Tools
from pipeline.slicing.rules import Mask
from pipeline.slicing.validation import Val

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


def sample(groups: NDArray[np.str_], rows: NDArray[np.intp], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Up to `count` of `rows`, taken round robin over groups."""
    shuffled = rng.permutation(rows)
    turn = pd.Series(groups[shuffled]).groupby(groups[shuffled]).cumcount().to_numpy()
    return np.sort(shuffled[np.argsort(turn, kind="stable")][:count])


@dataclass
class Pool:
    """Good photos (correct, outside every confirmed slice) of some classes, and their treated copies' attributes."""

    val: Val
    rows: NDArray[np.intp]
    tools: Tools
    seed: int
    _values: dict[tuple[str, float, float], Floats] = field(default_factory=dict)

    def part(self, photos: int) -> Pool:
        """Up to `photos` of them."""
        few = sample(self.groups, np.arange(len(self.rows)), photos, np.random.default_rng(self.seed))
        return Pool(self.val, self.rows[few], self.tools, self.seed)

    @property
    def photos(self) -> Pixels:
        """The good photos as they are."""
        return np.asarray(self.tools.pixels[self.val.rows[self.rows]])

    def treat(self, remedy: str, low: float, high: float) -> Pixels:
        """The good photos, treated."""
        return self.tools.treat(remedy, self.photos, low, high, self.seed)

    def values(self, remedy: str, low: float, high: float) -> Floats:
        """Attributes float [n, attributes] of the treated photos, computed once."""
        key = (remedy, low, high)
        if key not in self._values:
            self._values[key] = self.tools.measure(self.treat(remedy, low, high))
        return self._values[key]

    @property
    def truth(self) -> NDArray[np.intp]:
        """The class of each good photo."""
        return self.val.truth[self.rows]

    def regained(self, remedy: str, treated: Pixels, wrong: Mask, dose: float) -> float:
        """Share of the treated good photos that are misread (`wrong`, bool [n]) which undoing `remedy` at `dose` mends:
        1 where there are none, 0 where nothing undoes it."""
        undo = plugins.module("remedies", remedy).inverse(dose)
        if not wrong.any() or undo is None or self.tools.guess is None:
            return float(undo is not None)
        back = self.tools.guess(self.tools.treat(remedy, treated[wrong], undo, undo, self.seed))
        return float((back == self.truth[wrong]).mean())

    @property
    def groups(self) -> NDArray[np.str_]:
        """The group of each good photo."""
        return self.val.groups[self.rows]


def good_photos(val: Val, outside: Mask, inside: Mask, tools: Tools, photos: int, seed: int) -> Pool:
    """Correct photos outside every slice, up to `photos`, their classes in the shares that they have in this one."""
    good, rng = outside & ~inside & ~val.errors, np.random.default_rng(seed)
    share = np.bincount(val.truth[inside], minlength=len(val.names)) / max(int(inside.sum()), 1)
    rows = [
        sample(val.groups, np.flatnonzero(good & (val.truth == c)), round(photos * share[c]), rng)
        for c in np.flatnonzero(share)
    ]
    return Pool(val, np.sort(np.concatenate(rows)) if rows else np.flatnonzero(good)[:0], tools, seed)
