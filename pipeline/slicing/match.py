"""Which treatment of good photos makes them look like a slice, and does undoing it repair the slice?

How alike treated good photos and the slice are is measured by their mean Cliff's delta over the attributes: unlike a
multivariate AUC, which is near 1 as soon as one attribute differs (sensor noise, say), it still ranks the doses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.evidence.twosample import auc
from pipeline.slicing.name import ALIKE, REPRODUCES, Rival, dose_grid, elect, order
from pipeline.slicing.repair import Tools, with_repairs
from pipeline.slicing.rules import Mask, Rule
from pipeline.slicing.selection import admitted, beyond, limits
from pipeline.slicing.surplus import surplus
from pipeline.slicing.validation import Val

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
RIVALS = 10  # causes, nearest in looks, that the model is asked about
FINER = 2  # rounds in which the doses beside the best-matched one are halved
CLOSE = 0.02  # difference in distance from the slice that tells no two ranges of doses apart
REGAINED = 0.5  # share of its own damage that an inverse must repair to count as one at that dose
NEARLY, TRIED = 0.05, 4  # difference in distance from the best-matched dose, and how many such doses are tried
COPIES = 20  # of good photos, at least, that are compared with a slice
UNDONE = 0.8  # share of a rival's damage that another one's inverse regains where they are one cause
SUSPECTED = 0.5  # share of the distance from the slice that a suspected cause accounts for at least


def sample(groups: NDArray[np.str_], rows: NDArray[np.intp], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Up to `count` of `rows`, taken round robin over groups."""
    shuffled = rng.permutation(rows)
    turn = pd.Series(groups[shuffled]).groupby(groups[shuffled]).cumcount().to_numpy()
    return np.sort(shuffled[np.argsort(turn, kind="stable")][:count])


def mismatch(a: Floats, b: Floats, weights: Floats | None = None) -> float:
    """Mean absolute Cliff's delta over the columns of a [n, k] and b [m, k]: 0 alike, 1 apart (Cliff 1993).

    weights: what each row of b counts, see `surplus`; all alike where there are none."""
    deltas, count = [], np.ones(len(b)) if weights is None else weights
    for x, y in zip(a.T, b.T, strict=True):
        x, known = np.sort(x[~np.isnan(x)]), ~np.isnan(y)
        total = float(count[known].sum())
        if len(x) and total > 0:
            ranks = np.searchsorted(x, y[known], "left") + np.searchsorted(x, y[known], "right")
            deltas.append(min(abs(float((ranks / len(x) - 1) @ count[known]) / total), 1.0))
    return float(np.mean(deltas)) if deltas else 1.0


@dataclass
class Pool:
    """Good photos (correct, outside every confirmed slice) of some classes, and their treated copies' attributes.

    weights: float [rows of val], what each photo counts for the slice (`surplus`)."""

    val: Val
    rows: NDArray[np.intp]
    weights: Floats
    tools: Tools
    seed: int
    _values: dict[tuple[str, float, float], Floats] = field(default_factory=dict)

    def treat(self, remedy: str, low: float, high: float) -> Pixels:
        """The good photos, treated."""
        photos = np.asarray(self.tools.pixels[self.val.rows[self.rows]])
        return self.tools.treat(remedy, photos, low, high, self.seed)

    def values(self, remedy: str, low: float, high: float) -> Floats:
        """Attributes float [n, attributes] of the treated photos, computed once."""
        key = (remedy, low, high)
        if key not in self._values:
            self._values[key] = self.tools.measure(self.treat(remedy, low, high))
        return self._values[key]

    @property
    def groups(self) -> NDArray[np.str_]:
        """The group of each good photo."""
        return self.val.groups[self.rows]


class Matcher:
    """Compares the treated photos of a pool with one slice."""

    def __init__(self, pool: Pool, photos: int, rules: Sequence[Rule] = ()) -> None:
        """Draw up to `photos` of those that count for the slice (rules: that admit them), and of those that are taken
        away again."""
        self.pool, self.val, rng = pool, pool.val, np.random.default_rng(pool.seed)
        weights = pool.weights
        parts = [np.flatnonzero(side) for side in (weights > 0, weights < 0)]
        drawn = [sample(self.val.groups, part, photos, rng) for part in parts]
        scaled = [weights[d] * weights[p].sum() / weights[d].sum() for d, p in zip(drawn, parts, strict=True) if len(d)]
        self.rows = np.concatenate(drawn)
        self.weights = np.concatenate([*scaled, np.zeros(0)])
        self.failing = bool(self.val.errors[parts[0]].all())
        self.slice_values = pool.tools.measure(np.asarray(pool.tools.pixels[self.val.rows[self.rows]]))
        counts = self.weights > 0
        frame, columns = self.val.frame.iloc[self.rows[counts]], pool.tools.columns
        self.limits = limits(rules, frame, self.slice_values[counts], columns)

    @cached_property
    def untreated(self) -> float:
        """How far the good photos as they are lie from the slice; 0 where a classifier cannot tell them from it."""
        photos = np.asarray(self.pool.tools.pixels[self.val.rows[self.pool.rows]])
        values, groups = self.pool.tools.measure(photos), self.val.groups[self.rows]
        alike = auc(values, self.slice_values, self.pool.groups, groups, self.pool.seed, self.weights) <= ALIKE
        return 0.0 if alike else mismatch(values, self.slice_values, self.weights)

    def apart(self, remedy: str, low: float, high: float) -> float:
        """How far the treated good photos are from the slice, as far as its rule would admit them."""
        values = self.pool.values(remedy, low, high)
        return mismatch(values[admitted(values, self.limits, COPIES)], self.slice_values, self.weights)

    def rival(self, remedy: str, side: list[float]) -> Rival:
        """The best-matched dose on one side of neutral."""
        plugin = plugins.module("remedies", remedy)
        apart, dose = min((self.apart(remedy, dose, dose), dose) for dose in side)
        for _ in range(FINER if plugin.ORDERED else 0):
            side[:] = sorted({*side, *_beside(side, dose)})
            apart, dose = min((self.apart(remedy, d, d), d) for d in side)
        below = plugin.NEUTRAL is not None and dose < plugin.NEUTRAL
        words = plugin.WORDS[0 if below else 1]
        return Rival(remedy, words, float(dose), apart, plugin.inverse(dose) is not None)

    def tried(self, rival: Rival) -> Rival:
        """What the treatment does to good photos, and whether a classifier tells its copies from the slice: those that
        its rule would admit, and that it breaks, where failing photos alone stand for the slice."""
        pool, groups = self.pool, self.val.groups
        truth, treated = self.val.truth[pool.rows], pool.treat(rival.remedy, rival.dose, rival.dose)
        guess = pool.tools.guess(treated) if pool.tools.guess else truth
        broken = guess != truth
        invertible = rival.invertible and self._regained(rival, treated, broken) >= REGAINED
        errors = self.rows[self.val.errors[self.rows]]
        seen = set(zip(self.val.truth[errors], self.val.guess[errors], strict=True))
        same = [pair in seen for pair in zip(truth[broken], guess[broken], strict=True)]
        every = pool.values(rival.remedy, rival.dose, rival.dose)
        lost = broken if self.failing and broken.sum() >= COPIES else np.ones(len(broken), bool)
        like = admitted(every, self.limits, COPIES, lost)
        values = every[like]
        sides = (values, self.slice_values, pool.groups[like], groups[self.rows])
        return replace(
            rival,
            apart=mismatch(values, self.slice_values, self.weights),
            nearer=1 - rival.apart / self.untreated if self.untreated else 1.0,
            invertible=invertible,
            auc=auc(*sides, pool.seed, self.weights),
            reproduces=float(broken.mean()),
            confusions=float(np.mean(same)) if same else 0.0,
        )

    def best(self, rival: Rival, side: list[float]) -> Rival:
        """`tried` at the best-matched dose; where nothing undoes it, so that all depends on how alike its copies are,
        at the one of up to `TRIED` doses nearly as well matched whose copies are hardest to tell from the slice."""
        close = [d for d in sorted(side) if self.apart(rival.remedy, d, d) <= rival.apart + NEARLY]
        if rival.invertible or len(close) < 2:
            return self.tried(rival)
        spread = {close[round(k)] for k in np.linspace(0, len(close) - 1, TRIED)} | {rival.dose}
        found = [self.tried(replace(rival, dose=d, apart=self.apart(rival.remedy, d, d))) for d in sorted(spread)]
        return min(found, key=lambda r: (r.reproduces < REPRODUCES, r.auc))

    def _regained(self, rival: Rival, treated: Pixels, broken: Mask) -> float:
        """Share of the good photos that the treatment breaks which its inverse repairs: what was clipped stays lost."""
        dose = plugins.module("remedies", rival.remedy).inverse(rival.dose)
        if not broken.any() or dose is None or self.pool.tools.guess is None:
            return 1.0
        undone = self.pool.tools.treat(rival.remedy, treated[broken], dose, dose, self.pool.seed)
        return float((self.pool.tools.guess(undone) == self.val.truth[self.pool.rows][broken]).mean())

    def equivalents(self, best: Rival, others: list[Rival]) -> set[str]:
        """Remedies whose copies of the good photos cannot be told from the best rival's, or whose inverse regains
        `UNDONE` of what the best rival costs, as the best one's does of what they cost (design rule 4)."""
        mine, groups = self.pool.values(best.remedy, best.dose, best.dose), self.pool.groups
        theirs = {o.remedy: self.pool.values(o.remedy, o.dose, o.dose) for o in others}
        alike = {name for name, v in theirs.items() if auc(mine, v, groups, groups, self.pool.seed) <= ALIKE}
        return alike | {o.remedy for o in others if min(self._undone(best, o), self._undone(o, best)) >= UNDONE}

    def _undone(self, rival: Rival, other: Rival) -> float:
        """Of the accuracy on good photos that a rival costs, the share that the inverse of the other one regains."""
        dose, guess = plugins.module("remedies", other.remedy).inverse(other.dose), self.pool.tools.guess
        if dose is None or guess is None:
            return 0.0
        treated, truth = self.pool.treat(rival.remedy, rival.dose, rival.dose), self.val.truth[self.pool.rows]
        undone = self.pool.tools.treat(other.remedy, treated, dose, dose, self.pool.seed)
        left, back = float((guess(treated) == truth).mean()), float((guess(undone) == truth).mean())
        return (back - left) / (1 - left) if left < 1 else 0.0

    def _share(self, remedy: str, dose: float) -> float:
        """Share of the copies that the slice's rule would admit."""
        return float((beyond(self.pool.values(remedy, dose, dose), self.limits) == 0).mean())

    def dose_range(self, best: Rival, side: list[float]) -> tuple[float, float]:
        """The widest range of doses whose copies are as near to the slice as those of any, up to `CLOSE`, and at least
        half as often admitted by its rule as those of the best-matched dose."""
        share = {d: self._share(best.remedy, d) for d in {*side, best.dose}}
        inner = sorted(d for d in share if share[d] >= share[best.dose] / 2)
        ranges = [(a, b) for i, a in enumerate(inner) for b in inner[i:] if a <= best.dose <= b]
        apart = {(a, b): self.apart(best.remedy, a, b) for a, b in ranges}
        near = [r for r in ranges if apart[r] <= min(apart.values()) + CLOSE]
        return max(near, key=lambda r: (inner.index(r[1]) - inner.index(r[0]), -apart[r]))


def good_photos(val: Val, outside: Mask, inside: Mask, tools: Tools, photos: int, seed: int) -> Pool:
    """Correct photos outside every slice, up to `photos`, their classes in the shares that they have in the failures
    of this one (bool [rows]) in excess."""
    weights, rng = surplus(val, inside, outside), np.random.default_rng(seed)
    good = outside & ~inside & ~val.errors
    share = np.bincount(val.truth, weights, minlength=len(val.names)).clip(0)
    rows = [
        sample(val.groups, np.flatnonzero(good & (val.truth == c)), round(photos * share[c] / share.sum()), rng)
        for c in np.flatnonzero(share)
    ]
    chosen = np.sort(np.concatenate(rows)) if rows else np.flatnonzero(good)[:0]
    return Pool(val, chosen, weights, tools, seed)


def _beside(side: list[float], dose: float) -> list[float]:
    """The middles between a dose and its neighbours (geometric where all doses are positive)."""
    inner = sorted(side)
    at = inner.index(dose)
    pairs = pairwise(inner[max(0, at - 1) : at + 2])
    return [float(np.sqrt(a * b) if min(side) > 0 else (a + b) / 2) for a, b in pairs]


def possible(remedy: str, dose: float) -> bool:
    """Whether the plug-in knows that dose."""
    try:
        plugins.load("remedies", remedy)(dose, dose)
    except ValueError:
        return False
    return True


def _each_side(matcher: Matcher) -> Iterator[tuple[Rival, list[float]]]:
    """The best-matched dose of every possible cause, on each side of neutral that has words, and the doses of that
    side."""
    for remedy in plugins.names("remedies"):
        plugin = plugins.module("remedies", remedy)
        for side in dose_grid(plugin.DOSES, plugin.NEUTRAL) if plugin.CAUSE else []:
            below = plugin.NEUTRAL is not None and side[0] < plugin.NEUTRAL
            known = [dose for dose in side if possible(remedy, dose)]
            if plugin.WORDS[0 if below else 1]:
                yield matcher.rival(remedy, list(known)), known


def suspect_cause(pool: Pool, photos: int) -> tuple[list[Rival], tuple[float, float] | None]:
    """The treatment that brings good photos nearest to the slice, where no model can be asked; none where it takes
    away less than `SUSPECTED` of their distance from it."""
    matcher = Matcher(pool, photos)
    if not len(pool.rows) or not len(matcher.rows):
        return [], None
    best, side = min(_each_side(matcher), key=lambda pair: pair[0].apart)
    if best.apart > (1 - SUSPECTED) * matcher.untreated:
        return [], None
    return [replace(best, named=True, suspected=True)], matcher.dose_range(best, side)


def find_causes(
    pool: Pool, inside: Mask, rules: Sequence[Rule], interventions: pd.DataFrame, photos: int, level: float
) -> tuple[list[Rival], tuple[float, float] | None]:
    """The `RIVALS` likeliest causes of a confirmed slice, the named ones marked, and the best one's dose range.

    inside: its photos, bool [rows]; rules: that admit them. Without a model to ask: `suspect_cause`."""
    if pool.tools.guess is None:
        return suspect_cause(pool, photos)
    matcher = Matcher(pool, photos, rules)
    if not len(pool.rows) or not len(matcher.rows):
        return [], None
    found = sorted(_each_side(matcher), key=lambda pair: pair[0].apart)[:RIVALS]
    sides = {(rival.remedy, rival.words): side for rival, side in found}
    rivals = [matcher.best(rival, side) for rival, side in found]
    val, rng = pool.val, np.random.default_rng(pool.seed)
    failing = sample(val.groups, np.flatnonzero(inside & val.errors), photos, rng)
    rivals = order(with_repairs(val, failing, rivals, pool.tools, interventions, pool.seed), level)
    if not rivals[0].passes(level):
        return rivals, None
    elected = elect(rivals, matcher.equivalents(rivals[0], [r for r in rivals[1:] if r.passes(level)]), level)
    return elected, matcher.dose_range(elected[0], sides[elected[0].remedy, elected[0].words])
