"""Which remedy, at which doses, makes training photos look like a slice.

The cause of a slice is named on val (`match`); what trains is fitted here, on the photos that are to be treated. Of a
cause and of what stands beside it as equivalent, the remedy is taken whose treated photos are hardest to tell from the
slice: a dark photo is also noisy and flat, which less light alone is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline import plugins
from pipeline.evidence.twosample import auc
from pipeline.slicing.match import reachable
from pipeline.slicing.name import dose_grid
from pipeline.slicing.pool import sample
from pipeline.slicing.repair import Tools
from pipeline.slicing.validation import Val

Floats = NDArray[np.float64]
PHOTOS = 100  # of a slice, and training photos, that a dose range is fitted on
BESIDE = 3  # doses of the grid on either side of the best one between which the range is sought
TOLD = 0.02  # difference in AUC that tells no two remedies apart
SEED = 0
GIVEN = ("given", "given_low", "given_high", "fitted")
"""What training photos are given for a slice: remedy, doses, and the AUC that tells them from it (see `Fit`)."""


@dataclass(frozen=True)
class Doses:
    """A remedy, and doses of it that name the side of neutral."""

    remedy: str
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """A remedy and its dose range. auc: held-out two-sample AUC of treated training photos against the slice, .5 where
    they are alike; apart: mean Kolmogorov-Smirnov distance over the attributes."""

    remedy: str
    low: float
    high: float
    apart: float
    auc: float


def distance(a: Floats, b: Floats) -> float:
    """Mean Kolmogorov-Smirnov statistic over the columns of a [n, k] and b [m, k]: 0 alike, 1 apart.

    It sees spread as well as place, so that a range of doses that is too wide is farther off than one that fits."""
    found = []
    for x, y in zip(a.T, b.T, strict=True):
        x, y = x[~np.isnan(x)], y[~np.isnan(y)]
        if len(x) and len(y):
            found.append(float(stats.ks_2samp(x, y, method="asymp").statistic))
    return float(np.mean(found)) if found else 1.0


@dataclass(frozen=True)
class Fitter:
    """Fits remedies to one slice. shown: rows of `images`, training photos; groups: of them; values: attributes
    float [n, k] of the slice's photos, and their groups."""

    tools: Tools
    shown: NDArray[np.intp]
    groups: NDArray[np.str_]
    values: Floats
    theirs: NDArray[np.str_]

    def best(self, asked: Sequence[Doses]) -> Fit | None:
        """The remedy that is hardest to tell from the slice, up to `TOLD`: the first of those."""
        fits = [fit for item in asked if (fit := self._fit(item))]
        least = min((fit.auc for fit in fits), default=0.0)
        return next((fit for fit in fits if fit.auc <= least + TOLD), None)

    def _treated(self, name: str, low: float, high: float) -> Floats:
        pixels = np.asarray(self.tools.pixels[self.shown])
        return self.tools.measure(self.tools.treat(name, pixels, low, high, SEED))

    def _told(self, values: Floats) -> float:
        return auc(values, self.values, self.groups, self.theirs, SEED)

    def _fit(self, item: Doses) -> Fit | None:
        """The range of doses whose copies are nearest to the slice: the best single dose first, then all ranges of the
        doses beside it. A remedy without an order of doses keeps those asked for."""
        name = item.remedy
        if not _ordered(name):
            copy = self._treated(name, item.low, item.high)
            return Fit(name, item.low, item.high, distance(copy, self.values), self._told(copy))
        grid = doses_beside(item)
        if not grid:
            return None
        copies = {dose: self._treated(name, dose, dose) for dose in grid}
        at = grid.index(min(grid, key=lambda dose: distance(copies[dose], self.values)))
        near = grid[max(0, at - BESIDE) : at + BESIDE + 1]
        ladder = sorted({*near, *(middle(name, a, b) for a, b in pairwise(near))})
        copies |= {dose: self._treated(name, dose, dose) for dose in ladder if dose not in copies}
        ranges = [(a, b) for k, a in enumerate(ladder) for b in ladder[k:]]
        apart = {r: distance(_mixed(name, r, ladder, copies), self.values) for r in ranges}
        low, high = min(ranges, key=lambda r: apart[r])
        return Fit(name, low, high, apart[low, high], self._told(self._treated(name, low, high)))


def options(item: Any, causes: pd.DataFrame, rendering: Callable[[str, float, float], str]) -> list[Doses]:
    """What may be given to training photos for a slice (a row of `explanations`): its cause and those that stand beside
    it as named or equivalent in `causes`, each after what renders it as it comes about in life."""
    known = causes[(causes["slice"] == item.slice) & (causes["named"] | causes["equivalent"])]
    asked = [Doses(item.cause, item.dose_low, item.dose_high)]
    asked += [Doses(str(r.remedy), float(r.dose), float(r.dose)) for r in known.itertuples() if r.remedy != item.cause]
    rendered = [Doses(rendering(d.remedy, d.low, d.high), d.low, d.high) for d in asked]
    return list(dict.fromkeys(d for pair in zip(rendered, asked, strict=True) for d in pair))


def fits(
    val: Val, inside: NDArray[np.bool_], treated: pd.DataFrame, asked: Sequence[Doses], tools: Tools
) -> tuple[str, float, float, float]:
    """`GIVEN` for one slice; the first of `asked` as it is where there are no photos to fit on.

    inside: bool [val]; treated: rows of `images`, the training photos that the remedy is for, of whom classes are drawn
    as they are in the slice."""
    rng, part = np.random.default_rng(SEED), val.frame[inside]
    rows = sample(val.groups, np.flatnonzero(inside), PHOTOS, rng)
    picked: list[NDArray[np.intp]] = []
    for label, share in part["label"].value_counts(normalize=True).items():
        of_class = treated[treated["label"] == label]
        some = sample(of_class["group"].to_numpy(dtype=str), np.arange(len(of_class)), round(PHOTOS * share), rng)
        picked.append(of_class.index.to_numpy()[some])
    shown = np.sort(np.concatenate(picked)) if picked else np.zeros(0, np.intp)
    best = None
    if len(rows) and len(shown):
        values = tools.measure(np.asarray(tools.pixels[val.rows[rows]]))
        groups = treated.loc[shown, "group"].to_numpy(dtype=str)
        best = Fitter(tools, shown, groups, values, val.groups[rows]).best(asked)
    if best is None:
        return asked[0].remedy, asked[0].low, asked[0].high, float("nan")
    return best.remedy, best.low, best.high, best.auc


def _ordered(name: str) -> bool:
    plugin = plugins.module("remedies", name)
    return bool(plugins.module("remedies", getattr(plugin, "RENDERS", name)).ORDERED)


def doses_beside(item: Doses) -> list[float]:
    """The doses of a remedy, ascending, that are tried on the side of neutral that `item` names; what renders another
    has that one's doses."""
    name, low, high = item.remedy, item.low, item.high
    plugin = plugins.module("remedies", name)
    doses = plugins.module("remedies", getattr(plugin, "RENDERS", name)).DOSES
    neutral = plugin.NEUTRAL
    below = neutral is not None and high <= neutral
    sides = [s for s in dose_grid(tuple(doses), neutral) if neutral is None or (s[0] < neutral) == below]
    return sorted({dose for side in sides for dose in (*reachable(name, side), low, high)})


def _multiplies(name: str) -> bool:
    return bool(plugins.module("remedies", name).NEUTRAL == 1)


def middle(name: str, low: float, high: float) -> float:
    """Half way between two doses: geometric where doses multiply."""
    return float(np.sqrt(low * high)) if _multiplies(name) else (low + high) / 2


def _mixed(name: str, span: tuple[float, float], ladder: Sequence[float], copies: dict[float, Floats]) -> Floats:
    """Attributes [n, k] of photos with doses drawn from a range, as training draws them; of each photo the copy at the
    nearest dose of the ladder is taken."""
    (low, high), steps = span, np.array(ladder)
    count = len(copies[ladder[0]])
    place = (np.random.default_rng(SEED).permutation(count) + 0.5) / count
    if _multiplies(name):
        dose, steps = np.log(low) + place * np.log(high / low), np.log(steps)
    else:
        dose = low + place * (high - low)
    nearest = np.abs(dose[:, None] - steps).argmin(1)
    return np.stack([copies[ladder[k]][row] for row, k in enumerate(nearest)])
