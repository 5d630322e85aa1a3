"""Which treatment of good photos makes them look like a slice, and does undoing it repair the slice?

Like is compared with like. Of the photos that a cause befalls only some fail, and the slice was drawn for its failures:
they are compared with those treated copies that the model misreads, as far as the slice's rule would admit them, and
with all copies only where too few fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.evidence.twosample import auc
from pipeline.slicing.copies import Floats, Pool, Rows, mismatch, possible, sample
from pipeline.slicing.limits import Limits, admitted, limits
from pipeline.slicing.name import ALIKE, REPRODUCES, Rival, dose_grid, elect, order
from pipeline.slicing.repair import with_repairs
from pipeline.slicing.rules import Mask, Rule
from pipeline.slicing.undone import regained, undo_each_other

RIVALS, GLIMPSED = 10, 3  # causes nearest in looks, and at a glance, that the model is asked about at length
GLANCED, ASKED = 60, 3  # good photos, and doses, at which it is asked at a glance before
TRIED = 4  # doses, nearest in looks, at which it is asked at length
LIKE, LEAST = 15, 5  # failing photos, and copies that fail, that are compared with each other; and at a glance
ADMITTED = 30  # such copies that a rule admits, from which they alone are compared
NEARLY = 0.05  # difference in distance from the slice up to which the copy hardest to tell decides between doses
FINER = 2  # rounds in which the doses beside the best-matched one are halved
CLOSE = 0.02  # difference in distance from the slice that tells no two ranges of doses apart
REGAINED = 0.5  # share of its own damage that an inverse must repair to count as one at that dose
SUSPECTED = 0.5  # share of the distance from the slice that a suspected cause accounts for at least


@dataclass(frozen=True)
class Members:
    """The photos of a slice, bool [rows of val]; typical: those on whom its cause is matched; rules: admit them."""

    inside: Mask
    typical: Mask
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class _Drawn:
    """Photos with a group [n] and attributes float [n, attributes] each."""

    groups: NDArray[np.str_]
    values: Floats

    def part(self, rows: Mask | Rows) -> _Drawn:
        return _Drawn(self.groups[rows], self.values[rows])


class Matcher:
    """Compares the treated photos of a pool with one slice."""

    def __init__(self, pool: Pool, members: Members, photos: int) -> None:
        """Draw up to `photos` of the slice, and of the pool."""
        self.pool, self.val, self.members, self.photos = pool, pool.val, members, photos
        self.few, self.glance = pool.part(photos), pool.part(min(photos, GLANCED))
        self.rows = self._rows(members.typical)
        self.slice = self._drawn(self.rows)
        self.failing = self._drawn(self._rows(members.typical & self.val.errors))
        frame, columns = self.val.frame.iloc[self.rows], pool.tools.columns
        self.limits: Limits = limits(members.rules, frame, self.slice.values, columns)

    def _rows(self, of: Mask) -> Rows:
        return sample(self.val.groups, np.flatnonzero(of), self.photos, np.random.default_rng(self.pool.seed))

    def _drawn(self, rows: Rows) -> _Drawn:
        tools, val = self.pool.tools, self.val
        return _Drawn(val.groups[rows], tools.measure(np.asarray(tools.pixels[val.rows[rows]])))

    def apart(self, remedy: str, low: float, high: float | None = None) -> float:
        """How far the good photos, treated at one dose or at some between two, are from the slice, whatever the model
        says."""
        return mismatch(self.few.values(remedy, low, high), self.slice.values)

    def rival(self, remedy: str, side: list[float]) -> Rival:
        """The best-matched dose on one side of neutral, whatever the model says."""
        plugin, side = plugins.module("remedies", remedy), list(side)
        apart, dose = min((self.apart(remedy, dose), dose) for dose in side)
        for _ in range(FINER if plugin.ORDERED else 0):
            side = sorted({*side, *_beside(side, dose)})
            apart, dose = min((self.apart(remedy, d), d) for d in side)
        below = plugin.NEUTRAL is not None and dose < plugin.NEUTRAL
        words = plugin.WORDS[0 if below else 1]
        return Rival(remedy, words, float(dose), apart, plugin.inverse(dose) is not None)

    def _like(self, pool: Pool, remedy: str, dose: float, least: int) -> tuple[_Drawn, _Drawn]:
        """The copies and the photos of the slice that are compared with each other."""
        copies, broken = _Drawn(pool.groups, pool.values(remedy, dose)), pool.broken(remedy, dose)
        if min(len(self.failing.groups), int(broken.sum())) < least:
            return copies, self.slice
        like = broken & admitted(copies.values, self.limits)
        return copies.part(like if like.sum() >= ADMITTED else broken), self.failing

    def glanced(self, rival: Rival, side: list[float]) -> float:
        """How far from the slice the copies are that the nearest of a few doses breaks; 1 where none breaks any."""
        doses = self._breaking(self.glance, rival.remedy, self._nearest(rival, side, ASKED))
        like = [self._like(self.glance, rival.remedy, d, LEAST) for d in doses]
        return min([mismatch(a.values, b.values, chance=False) for a, b in like], default=1.0)

    def _nearest(self, rival: Rival, side: list[float], count: int) -> list[float]:
        return sorted({*side, rival.dose}, key=lambda d: self.apart(rival.remedy, d))[:count]

    def _breaking(self, pool: Pool, remedy: str, doses: list[float]) -> list[float]:
        """Those that reproduce a failure, strongest first: where one does not, no weaker one is asked about."""
        neutral = plugins.module("remedies", remedy).NEUTRAL or 0.0
        strongest = sorted(doses, key=lambda d: -abs(d - neutral))
        return list(takewhile(lambda d: float(pool.broken(remedy, d).mean()) >= REPRODUCES, strongest))

    def tried(self, rival: Rival, side: list[float], doses: int = TRIED) -> Rival:
        """What the model says of it. Where nothing undoes it, all hangs on how alike its copies are: it is tried at the
        `doses` nearest in looks, and of those whose copies come as near as any, up to `NEARLY`, the hardest to tell."""
        if rival.invertible:
            found = self._asked(rival)[1]
            return replace(found, invertible=self._undone(found) >= REGAINED)
        near = self._nearest(rival, side, doses)
        every = [self._asked(replace(rival, dose=float(d))) for d in self._breaking(self.pool, rival.remedy, near)]
        every = every or [self._asked(rival)]
        least = min(apart for apart, _ in every)
        close = [pair for pair in every if pair[0] <= least + NEARLY]
        return min(close, key=lambda pair: (max(pair[1].auc, 0.5), pair[0]))[1]

    def _asked(self, rival: Rival) -> tuple[float, Rival]:
        """How far the copies are from the slice, like with like; and what the treatment does to good photos."""
        pool, val, chosen = self.pool, self.val, (rival.remedy, rival.dose)
        broken, errors = pool.broken(*chosen), val.errors & self.members.typical
        seen = set(zip(val.truth[errors], val.guess[errors], strict=True))
        pairs = zip(pool.truth[broken], pool.guesses(*chosen)[broken], strict=True)
        same = [pair in seen for pair in pairs]
        copies, photos = self._like(pool, *chosen, LIKE)
        tested = replace(
            rival,
            apart=self.apart(*chosen),
            auc=auc(copies.values, photos.values, copies.groups, photos.groups, pool.seed),
            reproduces=float(broken.mean()),
            confusions=float(np.mean(same)) if same else 0.0,
        )
        return mismatch(copies.values, photos.values, chance=False), tested

    def _undone(self, rival: Rival) -> float:
        """Share of the good photos that the treatment breaks which its inverse repairs: what was clipped stays lost."""
        pool, cause = self.pool, (rival.remedy, rival.dose)
        broken = pool.broken(*cause)
        return regained(pool.tools, pool.truth[broken], pool.treat(*cause)[broken], cause, pool.seed)

    def equivalents(self, best: Rival, others: list[Rival]) -> set[str]:
        """Remedies whose copies of the good photos cannot be told from the best rival's, or that undo it as it undoes
        them (design rule 4)."""
        pool, mine = self.few, (best.remedy, best.dose)
        found = set[str]()
        for other in others:
            its = (other.remedy, other.dose)
            alike = auc(pool.values(*mine), pool.values(*its), pool.groups, pool.groups, pool.seed) <= ALIKE
            copies = ((pool.treat(*mine), mine), (pool.treat(*its), its))
            if alike or undo_each_other(pool.tools, pool.truth, *copies, pool.seed):
                found.add(other.remedy)
        return found

    def dose_range(self, best: Rival, side: list[float]) -> tuple[float, float]:
        """The widest range of doses whose copies are as near to the slice as those of any, up to `CLOSE`; where nothing
        undoes the cause, like with like: the copies of all its doses together."""
        inner = sorted({*side, best.dose})
        like = {} if best.invertible else {d: self._like(self.pool, best.remedy, d, LIKE) for d in inner}
        photos = like[best.dose][1] if like else self.slice
        inner = [d for d in inner if not like or like[d][1] is photos]
        ranges = [(a, b) for i, a in enumerate(inner) for b in inner[i:] if a <= best.dose <= b]
        apart = {
            (a, b): self._together([like[d][0].values for d in inner if a <= d <= b], photos)
            if like
            else self.apart(best.remedy, a, b)
            for a, b in ranges
        }
        near = [r for r in ranges if apart[r] <= min(apart.values()) + CLOSE]
        return max(near, key=lambda r: (inner.index(r[1]) - inner.index(r[0]), -apart[r]))

    def _together(self, copies: list[Floats], photos: _Drawn) -> float:
        return mismatch(np.vstack(copies), photos.values, chance=False)


def _beside(side: list[float], dose: float) -> list[float]:
    """The middles between a dose and its neighbours (geometric where all doses are positive)."""
    inner = sorted(side)
    at = inner.index(dose)
    pairs = pairwise(inner[max(0, at - 1) : at + 2])
    return [float(np.sqrt(a * b) if min(side) > 0 else (a + b) / 2) for a, b in pairs]


def _each_side(matcher: Matcher) -> Iterator[tuple[Rival, list[float]]]:
    """The best-matched dose of every possible cause, on each side of neutral that has words, and the doses of that
    side."""
    for remedy in plugins.names("remedies"):
        plugin = plugins.module("remedies", remedy)
        for side in dose_grid(plugin.DOSES, plugin.NEUTRAL) if plugin.CAUSE else []:
            below = plugin.NEUTRAL is not None and side[0] < plugin.NEUTRAL
            known = [dose for dose in side if possible(remedy, dose)]
            if plugin.WORDS[0 if below else 1]:
                yield matcher.rival(remedy, known), known


def likeliest(matcher: Matcher) -> list[tuple[Rival, list[float]]]:
    """The sides of causes that come nearest in looks; and of those without an inverse the ones that come nearest when a
    glance at what the model misreads tells which copies to look at."""
    sides = sorted(_each_side(matcher), key=lambda pair: pair[0].apart)
    for_good = [k for k, (rival, _) in enumerate(sides) if not rival.invertible]
    far = {k: matcher.glanced(*sides[k]) for k in for_good}
    chosen = {*range(RIVALS), *sorted([k for k in far if far[k] < 1], key=lambda k: far[k])[:GLIMPSED]}
    return [pair for k, pair in enumerate(sides) if k in chosen]


def suspect_cause(pool: Pool, inside: Mask, photos: int) -> tuple[list[Rival], tuple[float, float] | None]:
    """The treatment that brings good photos nearest to the slice, where no model can be asked; none where it takes
    away less than `SUSPECTED` of their distance from it."""
    if not len(pool.rows) or not inside.any():
        return [], None
    matcher = Matcher(pool, Members(inside, inside), photos)
    untreated = mismatch(pool.tools.measure(matcher.few.photos), matcher.slice.values)
    best, side = min(_each_side(matcher), key=lambda pair: pair[0].apart)
    if best.apart > (1 - SUSPECTED) * untreated:
        return [], None
    return [replace(best, named=True, suspected=True)], matcher.dose_range(best, side)


def find_causes(
    pool: Pool, members: Members, interventions: pd.DataFrame, photos: int, level: float
) -> tuple[list[Rival], tuple[float, float] | None]:
    """The `RIVALS` likeliest causes of a confirmed slice, the named ones marked, and the best one's dose range."""
    if not len(pool.rows) or not members.typical.any():
        return [], None
    matcher = Matcher(pool, members, photos)
    found = likeliest(matcher)
    sides = {(rival.remedy, rival.words): side for rival, side in found}
    rivals = [matcher.tried(rival, side) for rival, side in found]
    val, rng = pool.val, np.random.default_rng(pool.seed)
    failing = sample(val.groups, np.flatnonzero(members.inside & val.errors), photos, rng)
    rivals = order(with_repairs(val, failing, rivals, pool.tools, interventions, pool.seed), level)
    best = rivals[0]
    if not best.passes(level):
        return rivals, None
    side = sides[best.remedy, best.words]
    if not best.invertible:  # no repair hangs on its dose, and the range needs all of them anyway
        best = matcher.tried(best, side, len(side) + 1)
    rivals = [best, *rivals[1:]]
    elected = elect(rivals, matcher.equivalents(best, [r for r in rivals[1:] if r.passes(level)]), level)
    return elected, matcher.dose_range(elected[0], side)
