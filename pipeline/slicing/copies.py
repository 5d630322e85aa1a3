"""Good photos, their treated copies, and how far two sets of photos are apart.

How alike treated good photos and a slice are is measured by their mean Cliff's delta over the attributes: unlike a
multivariate AUC, which is near 1 as soon as one attribute differs (sensor noise, say), it still ranks the doses.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline import plugins
from pipeline.slicing.repair import Tools
from pipeline.slicing.rules import Mask
from pipeline.slicing.validation import Val

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
WIDER = 2  # good photos for each one of the slice: a mild cause breaks few of them


def sample(groups: NDArray[np.str_], rows: Rows, count: int, rng: np.random.Generator) -> Rows:
    """Up to `count` of `rows`, taken round robin over groups."""
    shuffled = rng.permutation(rows)
    turn = pd.Series(groups[shuffled]).groupby(groups[shuffled]).cumcount().to_numpy()
    return np.sort(shuffled[np.argsort(turn, kind="stable")][:count])


def _delta(x: Floats, y: Floats) -> float:
    """Cliff's delta (Cliff 1993), absolute, of x [n] and y [m]: 0 alike, 1 apart."""
    ranks = stats.rankdata(np.concatenate([x, y]))[: len(x)]
    return float(abs(2 * (ranks.sum() - len(x) * (len(x) + 1) / 2) / (len(x) * len(y)) - 1))


def mismatch(a: Floats, b: Floats, chance: bool = True) -> float:
    """Mean absolute Cliff's delta over the columns of a [n, k] and b [m, k]: 0 alike, 1 apart; columns that one of them
    does not know are left out, and 1 is the answer where all are.

    chance: False takes from the square of each its variance where both are alike, (n + m + 1) / 3nm (Mann and Whitney
    1947), so that sets of few photos are not thought further apart than those of many."""
    deltas = []
    for x, y in zip(a.T, b.T, strict=True):
        x, y = x[~np.isnan(x)], y[~np.isnan(y)]
        if len(x) and len(y):
            noise = 0.0 if chance else (len(x) + len(y) + 1) / (3 * len(x) * len(y))
            deltas.append(max(_delta(x, y) ** 2 - noise, 0.0) ** 0.5)
    return float(np.mean(deltas)) if deltas else 1.0


def possible(remedy: str, dose: float) -> bool:
    """Whether the plug-in knows that dose."""
    try:
        plugins.load("remedies", remedy)(dose, dose)
    except ValueError:
        return False
    return True


@dataclass
class Pool:
    """Good photos (correct, outside every confirmed slice) of some classes, and what is known of their treated copies.

    rows: of `val`, int [n]."""

    val: Val
    rows: Rows
    tools: Tools
    seed: int
    _values: dict[tuple[str, float, float], Floats] = field(default_factory=dict)
    _guesses: dict[tuple[str, float], Rows] = field(default_factory=dict)

    def part(self, photos: int) -> Pool:
        """Up to `photos` of them."""
        every, rng = np.arange(len(self.rows)), np.random.default_rng(self.seed)
        return Pool(self.val, self.rows[sample(self.groups, every, photos, rng)], self.tools, self.seed)

    @property
    def groups(self) -> NDArray[np.str_]:
        """The group of each good photo."""
        return self.val.groups[self.rows]

    @property
    def truth(self) -> Rows:
        """The class index of each good photo, which is also the model's answer."""
        return self.val.truth[self.rows]

    @property
    def photos(self) -> Pixels:
        """The good photos as they are."""
        return np.asarray(self.tools.pixels[self.val.rows[self.rows]])

    def treat(self, remedy: str, low: float, high: float | None = None) -> Pixels:
        """The good photos, treated at one dose, or each at one between two."""
        return self.tools.treat(remedy, self.photos, low, low if high is None else high, self.seed)

    def values(self, remedy: str, low: float, high: float | None = None) -> Floats:
        """Attributes float [n, attributes] of the treated photos, computed once."""
        key = (remedy, low, low if high is None else high)
        if key not in self._values:
            self._values[key] = self.tools.measure(self.treat(*key))
        return self._values[key]

    def guesses(self, remedy: str, dose: float) -> Rows:
        """The model's answers [n] to the treated photos, asked once; the classes themselves where there is no model."""
        if (remedy, dose) not in self._guesses:
            ask = self.tools.guess
            self._guesses[remedy, dose] = ask(self.treat(remedy, dose)) if ask else self.truth
        return self._guesses[remedy, dose]

    def broken(self, remedy: str, dose: float) -> Mask:
        """bool [n]: whether the model misreads the treated photo."""
        return np.asarray(self.guesses(remedy, dose) != self.truth)


def good_photos(val: Val, outside: Mask, inside: Mask, tools: Tools, photos: int, seed: int) -> Pool:
    """Correct photos outside every slice, up to `WIDER` times `photos`, their classes in the shares that they have in
    this one."""
    good, rng = outside & ~inside & ~val.errors, np.random.default_rng(seed)
    share = np.bincount(val.truth[inside], minlength=len(val.names)) / max(int(inside.sum()), 1)
    rows = [
        sample(val.groups, np.flatnonzero(good & (val.truth == c)), round(WIDER * photos * share[c]), rng)
        for c in np.flatnonzero(share)
    ]
    return Pool(val, np.sort(np.concatenate(rows)) if rows else np.flatnonzero(good)[:0], tools, seed)
