"""Which treatment of good photos makes them look like a slice, and does undoing it repair the slice?

How alike treated good photos and the slice are is measured by their mean Cliff's delta over the attributes: unlike a
multivariate AUC, which is near 1 as soon as one attribute differs (sensor noise, say), it still ranks the doses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline import plugins
from pipeline.evidence.twosample import auc
from pipeline.slicing.attribution import attribute
from pipeline.slicing.name import ALIKE, REPRODUCES, Rival, dose_grid, elect, order
from pipeline.slicing.pool import Pool, sample
from pipeline.slicing.repair import GROUPS, handled, with_repairs
from pipeline.slicing.rules import Mask

Floats = NDArray[np.float64]
Pair = tuple[int, int]
Sides = dict[tuple[str, str], list[float]]
"""The doses of each possible cause, by its remedy and its words: a side of neutral."""
RIVALS = 10  # causes, nearest in looks, that the model is asked about
FINER = 2  # rounds in which the doses beside the best-matched one are halved
UNDOES = 0.8  # share of the other's damage that each one's inverse must repair for two causes to be one
REGAINED = 0.5  # share of its own damage that an inverse must repair to count as one at that dose
UNTREATED = ("", "")  # in place of a remedy and its words
TREATED, NEAR = 60, 3  # good photos that show what a treatment looks like, each at as many doses, nearest in looks
SUSPECTED = 0.5  # share of the distance from the slice that a suspected cause accounts for at least


def mismatch(a: Floats, b: Floats) -> float:
    """Mean absolute Cliff's delta over the columns of a [n, k] and b [m, k]: 0 alike, 1 apart (Cliff 1993)."""
    deltas = []
    for x, y in zip(a.T, b.T, strict=True):
        x, y = x[~np.isnan(x)], y[~np.isnan(y)]
        if len(x) and len(y):
            ranks = stats.rankdata(np.concatenate([x, y]))[: len(x)]
            deltas.append(abs(2 * (ranks.sum() - len(x) * (len(x) + 1) / 2) / (len(x) * len(y)) - 1))
    return float(np.mean(deltas)) if deltas else 1.0


def errs_alike(pairs: list[Pair], groups: list[str], seen: set[Pair]) -> float:
    """Share of the (label, prediction) `pairs` that are among those `seen`, as a part of the share that photos of other
    groups show, where any could: of many classes, few pairs come twice, whatever the cause. At most 1; 0 of none."""
    if not pairs:
        return 0.0
    of_pair, of_label = defaultdict[Pair, set[str]](set), defaultdict[int, set[str]](set)
    for pair, group in zip(pairs, groups, strict=True):
        of_pair[pair].add(group)
        of_label[pair[0]].add(group)
    again = [len(of_pair[pair]) > 1 for pair in pairs if len(of_label[pair[0]]) > 1]
    return min(1.0, float(np.mean([pair in seen for pair in pairs])) / (float(np.mean(again or [False])) or 1.0))


class Matcher:
    """Compares the treated photos of a pool with one slice."""

    def __init__(self, pool: Pool, inside: Mask, typical: Mask, photos: int) -> None:
        """Draw up to `photos` of those of the slice on whom a cause is matched, `typical` (bool [rows of val], as
        inside); and up to as many failing ones, of all of the slice where fewer than `GROUPS` groups of those fail."""
        self.pool, self.val, rng = pool, pool.val, np.random.default_rng(pool.seed)
        self.rows = sample(self.val.groups, np.flatnonzero(typical), photos, rng)
        mine, every = (np.flatnonzero(mask & self.val.errors) for mask in (typical, inside))
        enough = len(np.unique(self.val.groups[mine])) >= GROUPS
        self.failing = sample(self.val.groups, mine if enough else every, photos, rng)
        self.slice_values = pool.tools.measure(np.asarray(pool.tools.pixels[self.val.rows[self.rows]]))

    def apart(self, remedy: str, low: float, high: float) -> float:
        """How far the treated good photos are from the slice."""
        return mismatch(self.pool.values(remedy, low, high), self.slice_values)

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
        """What the treatment does to good photos, and whether a classifier tells its copies from the slice."""
        pool, groups = self.pool, self.val.groups
        truth, treated = pool.truth, pool.treat(rival.remedy, rival.dose, rival.dose)
        guess = pool.tools.guess(treated) if pool.tools.guess else truth
        broken, errors = guess != truth, self.failing
        back = pool.regained(rival.remedy, treated, broken, rival.dose) if rival.invertible else 0.0
        seen = set(zip(self.val.truth[errors].tolist(), self.val.guess[errors].tolist(), strict=True))
        pairs = list(zip(truth[broken].tolist(), guess[broken].tolist(), strict=True))
        values = pool.values(rival.remedy, rival.dose, rival.dose)
        return replace(
            rival,
            invertible=back >= REGAINED,
            auc=auc(values, self.slice_values, pool.groups, groups[self.rows], pool.seed),
            reproduces=float(broken.mean()),
            confusions=errs_alike(pairs, pool.groups[broken].tolist(), seen),
        )

    def equivalents(self, best: Rival, others: list[Rival]) -> set[str]:
        """Remedies that are the same cause as the best rival's (design rule 4): their copies of the good photos cannot
        be told apart, or each one's inverse regains `UNDOES` of what the other breaks."""
        return {other.remedy for other in others if self._alike(best, other) or self._undo_each_other(best, other)}

    def _alike(self, one: Rival, other: Rival) -> bool:
        mine, theirs = (self.pool.values(r.remedy, r.dose, r.dose) for r in (one, other))
        return auc(mine, theirs, self.pool.groups, self.pool.groups, self.pool.seed) <= ALIKE

    def _undo_each_other(self, one: Rival, other: Rival) -> bool:
        pool = self.pool
        if pool.tools.guess is None:
            return False
        for broken_by, undone in ((one, other), (other, one)):
            treated = pool.treat(broken_by.remedy, broken_by.dose, broken_by.dose)
            wrong = pool.tools.guess(treated) != pool.truth
            if pool.regained(undone.remedy, treated, wrong, undone.dose) < UNDOES:
                return False
        return True

    def attributed(self, every: list[Rival], sides: Sides, tried: list[Rival]) -> list[Rival]:
        """The rivals with their shares of the slice's failing photos; the one that accounts for most of them, or the
        two that do together, may be none of those `tried`. Each treatment is shown at the doses whose copies come
        nearest to those photos: a rule that admits much else hides theirs.

        every: the best-matched dose of each possible cause."""
        val, few, rows = self.val, self.pool.part(TREATED), self.failing
        if len(np.unique(val.groups[rows])) < GROUPS or len(few.rows) < 2:
            return tried
        photos = np.asarray(few.tools.pixels[val.rows[rows]])
        described, values = few.tools.described, few.tools.measure(photos)
        nearest = {rival: self._nearest(rival, sides, values) for rival in every}
        copies = {UNTREATED: described(few.photos)}
        for rival in every:
            treated = [few.treat(rival.remedy, d, d) for d in nearest[rival]]
            copies[rival.remedy, rival.words] = described(np.concatenate(treated))
        found = attribute(copies, described(photos), val.groups[rows], few.seed, UNTREATED)
        first = max(every, key=lambda rival: found[rival.remedy, rival.words].share)
        leading = [rival for rival in every if rival == first or found[rival.remedy, rival.words].pair]
        known = {(rival.remedy, rival.words) for rival in leading}
        ranked = [self._reproducing(rival, nearest[rival]) for rival in leading]
        ranked += [r for r in tried if (r.remedy, r.words) not in known]
        return [replace(r, **vars(found[r.remedy, r.words])) for r in ranked]

    def _nearest(self, rival: Rival, sides: Sides, values: Floats) -> list[float]:
        doses = {*sides[rival.remedy, rival.words], rival.dose}
        return sorted(doses, key=lambda d: mismatch(self.pool.values(rival.remedy, d, d), values))[:NEAR]

    def _reproducing(self, rival: Rival, doses: list[float]) -> Rival:
        """Tried at the first of its doses that reproduces a failure; at the first, where none does."""
        found = [self.tried(replace(rival, dose=d, apart=self.apart(rival.remedy, d, d))) for d in doses]
        return next((one for one in found if one.reproduces >= REPRODUCES), found[0])

    def dose_range(self, best: Rival, side: list[float]) -> tuple[float, float]:
        """The doses about the best-matched one whose copies are nearer to the slice than half way from its own to
        untreated photos, and the next one on either side: what befell the slice may lie between two that were tried."""
        inner = sorted({*side, best.dose})
        apart, at = [self.apart(best.remedy, dose, dose) for dose in inner], inner.index(best.dose)
        untreated = mismatch(self.pool.tools.measure(self.pool.photos), self.slice_values)
        far = [k for k, away in enumerate(apart) if away > (apart[at] + untreated) / 2]
        return inner[max((k for k in far if k < at), default=0)], inner[min((k for k in far if k > at), default=-1)]


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


def reachable(remedy: str, side: list[float]) -> list[float]:
    """The doses of a side that the plug-in knows, in their order, and where it knows no more of them, some between the
    last and the first that it does not know: a share of fog ends below 1."""
    known = [dose for dose in side if possible(remedy, dose)]
    if not known or len(known) == len(side) or not plugins.module("remedies", remedy).ORDERED:
        return known
    last, stop = known[-1], side[len(known)]
    for _ in range(FINER):
        middle = (last + stop) / 2
        if possible(remedy, middle):
            known.append(last := middle)
        else:
            stop = middle
    return known


def _each_side(matcher: Matcher) -> Iterator[tuple[Rival, list[float]]]:
    """The best-matched dose of every possible cause, on each side of neutral that has words, and the doses of that
    side."""
    for remedy in plugins.names("remedies"):
        plugin = plugins.module("remedies", remedy)
        for side in dose_grid(plugin.DOSES, plugin.NEUTRAL) if plugin.CAUSE else []:
            below = plugin.NEUTRAL is not None and side[0] < plugin.NEUTRAL
            known = reachable(remedy, side)
            if plugin.WORDS[0 if below else 1]:
                yield matcher.rival(remedy, list(known)), known


def suspect_cause(pool: Pool, inside: Mask, photos: int) -> tuple[list[Rival], tuple[float, float] | None]:
    """The treatment that brings good photos nearest to the slice, where no model can be asked; none where it takes
    away less than `SUSPECTED` of their distance from it."""
    matcher = Matcher(pool, inside, inside, photos)
    if not len(pool.rows) or not len(matcher.rows):
        return [], None
    untreated = mismatch(pool.tools.measure(pool.photos), matcher.slice_values)
    best, side = min(_each_side(matcher), key=lambda pair: pair[0].apart)
    if best.apart > (1 - SUSPECTED) * untreated:
        return [], None
    return [replace(best, named=True, suspected=True)], matcher.dose_range(best, side)


def find_causes(
    pool: Pool, inside: Mask, typical: Mask, interventions: pd.DataFrame, photos: int, level: float
) -> tuple[list[Rival], tuple[float, float] | None]:
    """The `RIVALS` likeliest causes of a confirmed slice, the named ones marked, and the best one's dose range.

    typical: those of its photos on whom the cause is matched."""
    matcher = Matcher(pool, inside, typical, photos)
    if not len(pool.rows) or not len(matcher.rows):
        return [], None
    found = list(_each_side(matcher))
    sides = {(rival.remedy, rival.words): side for rival, side in found}
    every = sorted((rival for rival, _ in found), key=lambda rival: rival.apart)
    tried = [matcher.tried(rival) for rival in every[:RIVALS]]
    val, rng = pool.val, np.random.default_rng(pool.seed)
    failing = sample(val.groups, np.flatnonzero(inside & val.errors), photos, rng)
    others = handled(val, failing, pool.tools, interventions, pool.seed)
    rivals = order(with_repairs(val, failing, tried, pool.tools, others, pool.seed), level)
    if not rivals[0].passes(level) or rivals[0].auc > ALIKE:
        told = matcher.attributed(every, sides, rivals)
        rivals = order(with_repairs(val, failing, told, pool.tools, others, pool.seed), level)
    if not rivals[0].passes(level):
        return rivals, None
    elected = elect(rivals, matcher.equivalents(rivals[0], [r for r in rivals[1:] if r.passes(level)]), level)
    fitted = matcher.dose_range(elected[0], sides[elected[0].remedy, elected[0].words]) if elected[0].named else None
    return elected, fitted
