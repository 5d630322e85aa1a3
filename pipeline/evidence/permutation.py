"""Is a set of images different from the others of its kind? Tests that permute whole groups.

Both tests compare each image inside with the mean of the outsiders in the same stratum (its class, or its
distance from the decision), so that a slice of hard classes or of unsure images is not taken for a finding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from pipeline.evidence.intervals import MOST_GROUPS, Interval, codes, groups_needed
from pipeline.evidence.tables import more_inside

Floats = NDArray[np.float64]
RIGHT_QUANTILES = (0.02, 0.05, 0.1, 0.25, 0.5)
WRONG_QUANTILES = (0.25, 0.5, 0.75)
BLOCK = 4_000_000  # numbers held at once in a matrix of draws x units


@dataclass(frozen=True)
class Limits:
    """What a slice must have to be tested (groups, images, share of it in strata with outsiders) and to matter
    (`smallest` effect, as a share)."""

    groups: int = 10
    images: int = 30
    covered: float = 0.8
    smallest: float = 0.05


LIMITS = Limits()


@dataclass(frozen=True)
class Test:
    """statistic: the studentised effect, or what `tables.more_inside` says; p: one-sided, None where `reason` says why
    it was not testable; groups_inside: groups with an image inside; interval: the effect, two-sided 95 % by group;
    large: the effect reaches the smallest that matters; groups_needed: groups inside that would decide, None
    where the effect found points the other way or is too small for any number."""

    __test__ = False  # not a test case of pytest's

    statistic: float | None
    p: float | None
    groups_inside: int
    reason: str | None
    interval: Interval
    large: bool
    groups_needed: int | None


@dataclass(frozen=True)
class _Sums:
    """Weighted sums of the values and of the weights by unit and stratum, float64 [units, strata] each."""

    values: Floats
    weights: Floats


def _sums(values: Floats, weights: Floats, strata: NDArray[np.intp], units: NDArray[np.intp]) -> _Sums:
    shape = (int(units.max()) + 1, int(strata.max()) + 1)
    cell = units * shape[1] + strata
    size = shape[0] * shape[1]
    return _Sums(
        np.bincount(cell, weights * values, minlength=size).reshape(shape).astype(np.float64),
        np.bincount(cell, weights, minlength=size).reshape(shape).astype(np.float64),
    )


def _influence(sums: _Sums, chosen: Floats) -> tuple[Floats, Floats]:
    """Effects [draws] when the units chosen (0/1, [draws, units]) are inside, and each unit's part in their error
    [draws, units]: linearised, the estimated means of the outsiders included."""
    inside, weight = chosen @ sums.values, chosen @ sums.weights
    outside = sums.weights.sum(0) - weight
    open_ = outside > 1e-9 * (1 + weight)
    mean = np.where(open_, (sums.values.sum(0) - inside) / np.where(open_, outside, 1.0), 0.0)
    weight = np.where(open_, weight, 0.0)
    total = np.maximum(weight.sum(1, keepdims=True), 1e-12)
    effect = (np.where(open_, inside, 0.0) - weight * mean).sum(1, keepdims=True) / total
    usable = open_.astype(np.float64)
    own = usable @ sums.values.T - (usable * (mean + effect)) @ sums.weights.T
    ratio = np.where(open_, weight / np.where(open_, outside, 1.0), 0.0)
    other = ratio @ sums.values.T - (ratio * mean) @ sums.weights.T
    return effect[:, 0], np.where(chosen > 0, own, -other) / total


def _variance(influence: Floats, chosen: Floats) -> Floats:
    """Variance of the effect [draws] from each unit's part, corrected for the number of units on either side."""
    k = chosen.sum(1)
    rest = chosen.shape[1] - k
    inside = (influence**2 * chosen).sum(1) * k / np.maximum(k - 1, 1)
    outside = (influence**2 * (1 - chosen)).sum(1) * rest / np.maximum(rest - 1, 1)
    return np.asarray(inside + outside)


def _studentised(sums: _Sums, chosen: Floats) -> Floats:
    effect, influence = _influence(sums, chosen)
    spread = np.sqrt(_variance(influence, chosen))
    return np.where(spread > 1e-12, effect / np.maximum(spread, 1e-12), np.sign(effect) * 1e9 * (abs(effect) > 1e-12))


def _draw(chosen: Floats, kinds: NDArray[np.intp], draws: int, rng: np.random.Generator) -> Floats:
    """0/1 [draws, units]: as many units of each kind at random as are chosen."""
    drawn = np.zeros((draws, len(chosen)))
    for kind in np.unique(kinds):
        units = np.flatnonzero(kinds == kind)
        inside = int(chosen[units].sum())
        if inside:
            picks = np.argpartition(rng.random((draws, len(units))), inside - 1, axis=1)[:, :inside]
            np.put_along_axis(drawn, units[picks], 1.0, axis=1)
    return drawn


def _permuted(sums: _Sums, chosen: Floats, kinds: NDArray[np.intp], draws: int, seed: int) -> tuple[float, float]:
    """The studentised effect and its one-sided p, by choosing as many units of each kind at random.

    Source: Janssen 1997 and Chung and Romano 2013 (studentised permutation tests)."""
    observed = float(_studentised(sums, chosen[None])[0])
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK // len(chosen))
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    drawn = (_draw(chosen, kinds, size, rng) for size in sizes)
    above = sum(int((_studentised(sums, d) >= observed - 1e-9).sum()) for d in drawn)
    return observed, (1 + above) / (draws + 1)


@dataclass(frozen=True)
class _Case:
    """Values, their strata (0..), membership, groups (0..), weights and the kind (0..) within which units are
    exchanged, [n] each."""

    values: Floats
    strata: NDArray[np.intp]
    inside: NDArray[np.bool_]
    groups: NDArray[np.intp]
    weights: Floats
    kinds: NDArray[np.intp]

    @property
    def units(self) -> tuple[NDArray[np.intp], Floats]:
        """A group that membership cuts through counts as two units; which units are inside, 0/1."""
        names, unit = np.unique(2 * self.groups + self.inside, return_inverse=True)
        return unit.reshape(-1), (names % 2).astype(np.float64)

    @property
    def unit_kinds(self) -> NDArray[np.intp]:
        """The kind of each unit: that of most of its images."""
        unit = self.units[0]
        shape = (int(unit.max()) + 1, int(self.kinds.max()) + 1)
        counts = np.bincount(unit * shape[1] + self.kinds, minlength=shape[0] * shape[1]).reshape(shape)
        return np.asarray(counts.argmax(1))

    @property
    def alone(self) -> bool:
        """Whether each image is a group of its own, and wrong or right and no more."""
        binary = bool(np.isin(self.values, (0.0, 1.0)).all() and (self.weights == 1).all())
        return binary and len(np.unique(self.groups)) == len(self.groups)

    @property
    def groups_inside(self) -> int:
        return len(np.unique(self.groups[self.inside]))


def _interval(case: _Case, sums: _Sums, chosen: Floats, alpha: float) -> Interval:
    """The effect with its interval by whole group: both parts of a group that is cut through count together."""
    n, inside = int(case.inside.sum()), case.groups_inside
    if not n or case.inside.all():
        return Interval(math.nan, -math.inf, math.inf, inside, n)
    effect, influence = _influence(sums, chosen[None])
    unit_group = np.zeros(len(chosen), dtype=np.intp)
    unit_group[case.units[0]] = case.groups
    by_group = np.bincount(unit_group, influence[0])
    variance = float((by_group**2).sum()) * inside / max(inside - 1, 1)
    if inside < 2:
        return Interval(float(effect[0]), -math.inf, math.inf, inside, n)
    half = float(stats.t.ppf(1 - alpha / 2, inside - 1)) * math.sqrt(variance)
    return Interval(float(effect[0]), float(effect[0]) - half, float(effect[0]) + half, inside, n, variance)


def _reason(case: _Case, limits: Limits, needed: int) -> str | None:
    """Why this cannot be tested, and what would do; None where it can."""
    n, groups = int(case.inside.sum()), case.groups_inside
    outside = np.bincount(case.strata[~case.inside], minlength=int(case.strata.max(initial=0)) + 1) > 0
    covered = float(case.weights[case.inside] @ outside[case.strata[case.inside]]) / max(
        float(case.weights[case.inside].sum()), 1e-12
    )
    if groups < limits.groups:
        return f"{groups} groups inside; {max(limits.groups, needed)} would do"
    if n < limits.images:
        return f"{n} images inside; {limits.images} would do"
    if len(np.unique(case.groups[~case.inside])) < limits.groups:
        return f"fewer than {limits.groups} groups outside to compare with"
    if covered < limits.covered:
        return f"only {covered:.0%} of it has comparable images outside; {limits.covered:.0%} would do"
    return None


def _needed(interval: Interval, limits: Limits, alpha: float) -> int | None:
    if interval.groups < 2:
        return limits.groups
    number = groups_needed(interval.value, 0.0, interval.variance * interval.groups, alpha)
    return max(limits.groups, number) if interval.value > 0 and number < MOST_GROUPS else None


def _run(case: _Case, limits: Limits, draws: int, seed: int, tabled: bool = False, alpha: float = 0.05) -> Test:
    if not len(case.values):
        empty = Interval(math.nan, -math.inf, math.inf, 0, 0)
        return Test(None, None, 0, "no images", empty, False, limits.groups)
    units, chosen = case.units
    sums = _sums(case.values, case.weights, case.strata, units)
    interval = _interval(case, sums, chosen, alpha)
    large = bool(interval.value >= limits.smallest)
    needed = _needed(interval, limits, alpha)
    reason = _reason(case, limits, needed or limits.groups)
    if reason:
        return Test(None, None, interval.groups, reason, interval, large, needed)
    if tabled:
        statistic, p = more_inside(case.values > 0, case.strata, case.inside)
    else:
        statistic, p = _permuted(sums, chosen, case.unit_kinds, draws, seed)
    return Test(statistic, p, interval.groups, None, interval, large, needed)


def _case(
    values: ArrayLike,
    strata: ArrayLike,
    inside: ArrayLike,
    groups: ArrayLike,
    weights: ArrayLike | None,
    kinds: ArrayLike | None,
) -> _Case:
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    kind = np.zeros(len(x), dtype=np.intp) if kinds is None else codes(kinds)[0]
    return _Case(x, codes(strata)[0], np.asarray(inside, dtype=np.bool_), codes(groups)[0], w, kind)


def excess_error(
    errors: ArrayLike,
    classes: ArrayLike,
    inside: ArrayLike,
    groups: ArrayLike,
    draws: int = 1999,
    seed: int = 0,
    limits: Limits = LIMITS,
) -> Test:
    """Do images inside (bool [n]) err more often than outsiders of the same class?

    errors: 0/1 [n]; classes, groups: [n]. Effect: the mean over the images inside of the error less the mean error
    of the same class outside. p: one-sided, by studentised permutation of whole groups among those of their class; a
    group that membership cuts through counts as two units, which is conservative where a group's images resemble
    each other. Where every image is a group of its own, by `tables.more_inside`.
    """
    case = _case(errors, classes, inside, groups, None, classes)
    return _run(case, limits, draws, seed, tabled=case.alone)


def margin_strata(wrong: ArrayLike, margin: ArrayLike) -> NDArray[np.intp]:
    """Strata 0..9 [n] of equal distance from the decision: the wrong (bool [n]) by quartiles of the signed margin
    (true logit less best other, float [n]), the right by its quantiles .02 .05 .1 .25 .5."""
    bad, m = np.asarray(wrong, dtype=np.bool_), np.asarray(margin, dtype=np.float64)
    strata = np.zeros(len(m), dtype=np.intp)
    for mask, quantiles, first in ((bad, WRONG_QUANTILES, 0), (~bad, RIGHT_QUANTILES, len(WRONG_QUANTILES) + 1)):
        if mask.any():
            strata[mask] = first + np.searchsorted(np.quantile(m[mask], quantiles), m[mask], side="right")
    return strata


def matched_effect(
    d: ArrayLike,
    wrong: ArrayLike,
    margin: ArrayLike,
    inside: ArrayLike,
    groups: ArrayLike,
    weights: ArrayLike | None = None,
    blocks: ArrayLike | None = None,
    draws: int = 1999,
    seed: int = 0,
    limits: Limits = LIMITS,
) -> Test:
    """Does an intervention help images inside (bool [n]) more than it helps equally unsure outsiders?

    d: correct after less correct before, float [n] in -1..1; wrong: bool [n] before it; margin: float [n], true
    logit less best other before it; weights: float [n], of a sample; blocks: [n], which
    intervention it was, where that differs (only equals are compared). Effect: the mean over the images inside of d
    less the mean d of the outsiders in the same stratum (`margin_strata`). p as in `excess_error`.
    """
    strata = margin_strata(wrong, margin)
    if blocks is not None:
        strata = strata + (strata.max(initial=0) + 1) * codes(blocks)[0]
    return _run(_case(d, strata, inside, groups, weights, blocks), limits, draws, seed)
