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

from pipeline.statistics.contingency_tables import compare_error_rates
from pipeline.statistics.group_intervals import (
    MAX_REQUIRED_GROUPS,
    ConfidenceInterval,
    encode_groups,
    estimate_required_groups,
)

Floats = NDArray[np.float64]
CORRECT_MARGIN_QUANTILES = (0.02, 0.05, 0.1, 0.25, 0.5)
MISCLASSIFIED_MARGIN_QUANTILES = (0.25, 0.5, 0.75)
MAX_MATRIX_ELEMENTS = 4_000_000  # numbers held at once in a matrix of draws x units


@dataclass(frozen=True)
class PermutationLimits:
    """What a slice must have to be tested (groups, images, share of it in strata with outsiders) and to matter
    (`smallest` effect, as a share)."""

    min_groups: int = 10
    min_images: int = 30
    min_coverage: float = 0.8
    min_effect: float = 0.05


DEFAULT_TEST_LIMITS = PermutationLimits()


@dataclass(frozen=True)
class PermutationTest:
    """statistic: the studentized effect, or what `tables.more_inside` says; p: one-sided, None where `reason` says why
    it was not testable; groups_inside: groups with an image inside; interval: the effect, two-sided 95 % by group;
    large: the effect reaches the smallest that matters; groups_needed: groups inside that would decide, None
    where the effect found points the other way or is too small for any number."""

    __test__ = False  # not a test case of pytest's

    statistic: float | None
    p: float | None
    inside_group_count: int
    reason: str | None
    interval: ConfidenceInterval
    is_large: bool
    required_groups: int | None


@dataclass(frozen=True)
class _UnitSums:
    """Weighted sums of the values and of the weights by unit and stratum, float64 [units, strata] each."""

    values: Floats
    weights: Floats


def _sum_by_unit(
    values: Floats, weights: Floats, strata: NDArray[np.intp], units: NDArray[np.intp]
) -> _UnitSums:
    shape = (int(units.max()) + 1, int(strata.max()) + 1)
    cell = units * shape[1] + strata
    size = shape[0] * shape[1]
    return _UnitSums(
        np.bincount(cell, weights * values, minlength=size).reshape(shape).astype(np.float64),
        np.bincount(cell, weights, minlength=size).reshape(shape).astype(np.float64),
    )


def _compute_influence(sums: _UnitSums, selection: Floats) -> tuple[Floats, Floats]:
    """Effects [draws] when the units chosen (0/1, [draws, units]) are inside, and each unit's part in their error
    [draws, units]: linearised, the estimated means of the outsiders included."""
    inside, weight = selection @ sums.values, selection @ sums.weights
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
    return effect[:, 0], np.where(selection > 0, own, -other) / total


def _estimate_effect_variance(influence: Floats, selection: Floats) -> Floats:
    """Variance of the effect [draws] from each unit's part, corrected for the number of units on either side."""
    k = selection.sum(1)
    rest = selection.shape[1] - k
    inside = (influence**2 * selection).sum(1) * k / np.maximum(k - 1, 1)
    outside = (influence**2 * (1 - selection)).sum(1) * rest / np.maximum(rest - 1, 1)
    return np.asarray(inside + outside)


def _studentize_effects(sums: _UnitSums, selection: Floats) -> Floats:
    effect, influence = _compute_influence(sums, selection)
    spread = np.sqrt(_estimate_effect_variance(influence, selection))
    return np.where(
        spread > 1e-12,
        effect / np.maximum(spread, 1e-12),
        np.sign(effect) * 1e9 * (abs(effect) > 1e-12),
    )


def _draw_selections(
    selection: Floats, exchange_blocks: NDArray[np.intp], draw_count: int, rng: np.random.Generator
) -> Floats:
    """0/1 [draws, units]: as many units of each kind at random as are chosen."""
    drawn = np.zeros((draw_count, len(selection)))
    for kind in np.unique(exchange_blocks):
        units = np.flatnonzero(exchange_blocks == kind)
        inside = int(selection[units].sum())
        if inside:
            picks = np.argpartition(rng.random((draw_count, len(units))), inside - 1, axis=1)[
                :, :inside
            ]
            np.put_along_axis(drawn, units[picks], 1.0, axis=1)
    return drawn


def _compute_permutation_p(
    sums: _UnitSums, selection: Floats, exchange_blocks: NDArray[np.intp], draws: int, seed: int
) -> tuple[float, float]:
    """The studentized effect and its one-sided p, by choosing as many units of each kind at random.

    Source: Janssen 1997 and Chung and Romano 2013 (studentized permutation tests)."""
    observed = float(_studentize_effects(sums, selection[None])[0])
    rng = np.random.default_rng(seed)
    block = max(1, MAX_MATRIX_ELEMENTS // len(selection))
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    drawn = (_draw_selections(selection, exchange_blocks, size, rng) for size in sizes)
    above = sum(int((_studentize_effects(sums, d) >= observed - 1e-9).sum()) for d in drawn)
    return observed, (1 + above) / (draws + 1)


@dataclass(frozen=True)
class _TestInputs:
    """Values, their strata (0..), membership, groups (0..), weights and the kind (0..) within which units are
    exchanged, [n] each."""

    values: Floats
    strata: NDArray[np.intp]
    inside: NDArray[np.bool_]
    groups: NDArray[np.intp]
    weights: Floats
    exchange_blocks: NDArray[np.intp]

    @property
    def unit_membership(self) -> tuple[NDArray[np.intp], Floats]:
        """A group that membership cuts through counts as two units; which units are inside, 0/1."""
        names, unit = np.unique(2 * self.groups + self.inside, return_inverse=True)
        return unit.reshape(-1), (names % 2).astype(np.float64)

    @property
    def unit_exchange_blocks(self) -> NDArray[np.intp]:
        """The kind of each unit: that of most of its images."""
        unit = self.unit_membership[0]
        shape = (int(unit.max()) + 1, int(self.exchange_blocks.max()) + 1)
        counts = np.bincount(
            unit * shape[1] + self.exchange_blocks, minlength=shape[0] * shape[1]
        ).reshape(shape)
        return np.asarray(counts.argmax(1))

    @property
    def is_ungrouped_binary(self) -> bool:
        """Whether each image is a group of its own, and wrong or right and no more."""
        binary = bool(np.isin(self.values, (0.0, 1.0)).all() and (self.weights == 1).all())
        return binary and len(np.unique(self.groups)) == len(self.groups)

    @property
    def inside_group_count(self) -> int:
        return len(np.unique(self.groups[self.inside]))


def _estimate_interval(
    inputs: _TestInputs, sums: _UnitSums, selection: Floats, alpha: float
) -> ConfidenceInterval:
    """The effect with its interval by whole group: both parts of a group that is cut through count together."""
    n, inside = int(inputs.inside.sum()), inputs.inside_group_count
    if not n or inputs.inside.all():
        return ConfidenceInterval(math.nan, -math.inf, math.inf, inside, n)
    effect, influence = _compute_influence(sums, selection[None])
    unit_group = np.zeros(len(selection), dtype=np.intp)
    unit_group[inputs.unit_membership[0]] = inputs.groups
    by_group = np.bincount(unit_group, influence[0])
    variance = float((by_group**2).sum()) * inside / max(inside - 1, 1)
    if inside < 2:
        return ConfidenceInterval(float(effect[0]), -math.inf, math.inf, inside, n)
    half = float(stats.t.ppf(1 - alpha / 2, inside - 1)) * math.sqrt(variance)
    return ConfidenceInterval(
        float(effect[0]), float(effect[0]) - half, float(effect[0]) + half, inside, n, variance
    )


def _explain_untestable(
    inputs: _TestInputs, limits: PermutationLimits, required_groups: int
) -> str | None:
    """Why this cannot be tested, and what would do; None where it can."""
    n, groups = int(inputs.inside.sum()), inputs.inside_group_count
    outside = (
        np.bincount(inputs.strata[~inputs.inside], minlength=int(inputs.strata.max(initial=0)) + 1)
        > 0
    )
    covered = float(inputs.weights[inputs.inside] @ outside[inputs.strata[inputs.inside]]) / max(
        float(inputs.weights[inputs.inside].sum()), 1e-12
    )
    if groups < limits.min_groups:
        return f"{groups} groups inside; {max(limits.min_groups, required_groups)} would do"
    if n < limits.min_images:
        return f"{n} images inside; {limits.min_images} would do"
    if len(np.unique(inputs.groups[~inputs.inside])) < limits.min_groups:
        return f"fewer than {limits.min_groups} groups outside to compare with"
    if covered < limits.min_coverage:
        return f"only {covered:.0%} of it has comparable images outside; {limits.min_coverage:.0%} would do"
    return None


def _count_required_groups(
    interval: ConfidenceInterval, limits: PermutationLimits, alpha: float
) -> int | None:
    if interval.groups < 2:
        return limits.min_groups
    number = estimate_required_groups(
        interval.value, 0.0, interval.variance * interval.groups, alpha
    )
    return (
        max(limits.min_groups, number)
        if interval.value > 0 and number < MAX_REQUIRED_GROUPS
        else None
    )


def _run_test(
    inputs: _TestInputs,
    limits: PermutationLimits,
    draws: int,
    seed: int,
    should_use_tables: bool = False,
    alpha: float = 0.05,
) -> PermutationTest:
    if not len(inputs.values):
        empty = ConfidenceInterval(math.nan, -math.inf, math.inf, 0, 0)
        return PermutationTest(None, None, 0, "no images", empty, False, limits.min_groups)
    units, chosen = inputs.unit_membership
    sums = _sum_by_unit(inputs.values, inputs.weights, inputs.strata, units)
    interval = _estimate_interval(inputs, sums, chosen, alpha)
    large = bool(interval.value >= limits.min_effect)
    needed = _count_required_groups(interval, limits, alpha)
    reason = _explain_untestable(inputs, limits, needed or limits.min_groups)
    if reason:
        return PermutationTest(None, None, interval.groups, reason, interval, large, needed)
    if should_use_tables:
        statistic, p = compare_error_rates(inputs.values > 0, inputs.strata, inputs.inside)
    else:
        statistic, p = _compute_permutation_p(
            sums, chosen, inputs.unit_exchange_blocks, draws, seed
        )
    return PermutationTest(statistic, p, interval.groups, None, interval, large, needed)


def _build_inputs(
    values: ArrayLike,
    strata: ArrayLike,
    inside: ArrayLike,
    groups: ArrayLike,
    weights: ArrayLike | None,
    exchange_blocks: ArrayLike | None,
) -> _TestInputs:
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    kind = (
        np.zeros(len(x), dtype=np.intp)
        if exchange_blocks is None
        else encode_groups(exchange_blocks)[0]
    )
    return _TestInputs(
        x,
        encode_groups(strata)[0],
        np.asarray(inside, dtype=np.bool_),
        encode_groups(groups)[0],
        w,
        kind,
    )


def estimate_excess_error(
    errors: ArrayLike,
    classes: ArrayLike,
    inside: ArrayLike,
    groups: ArrayLike,
    draws: int = 1999,
    seed: int = 0,
    limits: PermutationLimits = DEFAULT_TEST_LIMITS,
) -> PermutationTest:
    """Do images inside (bool [n]) err more often than outsiders of the same class?

    errors: 0/1 [n]; classes, groups: [n]. Effect: the mean over the images inside of the error less the mean error
    of the same class outside. p: one-sided, by studentized permutation of whole groups among those of their class; a
    group that membership cuts through counts as two units, which is conservative where a group's images resemble
    each other. Where every image is a group of its own, by `tables.more_inside`.
    """
    case = _build_inputs(errors, classes, inside, groups, None, classes)
    return _run_test(case, limits, draws, seed, should_use_tables=case.is_ungrouped_binary)


def assign_margin_strata(is_misclassified: ArrayLike, margins: ArrayLike) -> NDArray[np.intp]:
    """Strata 0..9 [n] of equal distance from the decision: the wrong (bool [n]) by quartiles of the signed margin
    (true logit less best other, float [n]), the right by its quantiles .02 .05 .1 .25 .5."""
    bad, m = np.asarray(is_misclassified, dtype=np.bool_), np.asarray(margins, dtype=np.float64)
    strata = np.zeros(len(m), dtype=np.intp)
    for mask, quantiles, first in (
        (bad, MISCLASSIFIED_MARGIN_QUANTILES, 0),
        (~bad, CORRECT_MARGIN_QUANTILES, len(MISCLASSIFIED_MARGIN_QUANTILES) + 1),
    ):
        if mask.any():
            strata[mask] = first + np.searchsorted(
                np.quantile(m[mask], quantiles), m[mask], side="right"
            )
    return strata


def estimate_matched_effect(
    correctness_changes: ArrayLike,
    is_misclassified: ArrayLike,
    margins: ArrayLike,
    inside: ArrayLike,
    groups: ArrayLike,
    weights: ArrayLike | None = None,
    interventions: ArrayLike | None = None,
    draws: int = 1999,
    seed: int = 0,
    limits: PermutationLimits = DEFAULT_TEST_LIMITS,
) -> PermutationTest:
    """Does an intervention help images inside (bool [n]) more than it helps equally unsure outsiders?

    d: correct after less correct before, float [n] in -1..1; wrong: bool [n] before it; margin: float [n], true
    logit less best other before it; weights: float [n], of a sample; blocks: [n], which
    intervention it was, where that differs (only equals are compared). Effect: the mean over the images inside of d
    less the mean d of the outsiders in the same stratum (`margin_strata`). p as in `excess_error`.
    """
    strata = assign_margin_strata(is_misclassified, margins)
    if interventions is not None:
        strata = strata + (strata.max(initial=0) + 1) * encode_groups(interventions)[0]
    return _run_test(
        _build_inputs(correctness_changes, strata, inside, groups, weights, interventions),
        limits,
        draws,
        seed,
    )
