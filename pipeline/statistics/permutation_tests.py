"""Permutation tests of whole groups: does a subset of images differ from the others of its kind?

Both tests compare each image inside with the mean of the images outside in the same stratum (its
class, or its distance from the decision threshold). A slice of hard classes or of unsure images is
therefore not taken for a finding.
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
from pipeline.statistics.unit_permutations import (
    UnitSums,
    compute_influence,
    compute_permutation_p,
    sum_by_unit,
)
from pipeline.statistics.untestable_reasons import UntestableKind, UntestableReason

Floats = NDArray[np.float64]
CORRECT_MARGIN_QUANTILES = (0.02, 0.05, 0.1, 0.25, 0.5)
MISCLASSIFIED_MARGIN_QUANTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class PermutationLimits:
    """What a slice needs to be tested, and which effect matters.

    Attributes:
        min_groups: fewest groups inside, and outside.
        min_images: fewest images inside.
        min_coverage: smallest share of the inside weight in strata with images outside.
        min_effect: smallest effect that matters, as a share.
    """

    min_groups: int = 10
    min_images: int = 30
    min_coverage: float = 0.8
    min_effect: float = 0.05


DEFAULT_TEST_LIMITS = PermutationLimits()


@dataclass(frozen=True)
class PermutationTest:
    """The result of a permutation test.

    Attributes:
        statistic: the studentized effect, or the statistic of `compare_error_rates`; None if not
            testable.
        p: one-sided p-value; None if not testable.
        inside_group_count: number of groups with an image inside.
        reason: why it was not testable; None if it was.
        interval: the effect with its two-sided 95 % interval by group.
        is_large: whether the effect reaches `PermutationLimits.min_effect`.
        required_groups: groups inside that would decide; None if the effect points the other way or
            is too small for any number.
    """

    __test__ = False  # not a test case of pytest's

    statistic: float | None
    p: float | None
    inside_group_count: int
    reason: UntestableReason | None
    interval: ConfidenceInterval
    is_large: bool
    required_groups: int | None


@dataclass(frozen=True)
class _TestInputs:
    """Inputs of a test; all arrays have length n.

    Attributes:
        values: the values, float64.
        strata: the stratum of each image, 0..
        inside: whether an image is inside.
        groups: the group of each image, 0..
        weights: the weight of each image.
        exchange_blocks: the block within which units are exchanged, 0..
    """

    values: Floats
    strata: NDArray[np.intp]
    inside: NDArray[np.bool_]
    groups: NDArray[np.intp]
    weights: Floats
    exchange_blocks: NDArray[np.intp]

    @property
    def unit_membership(self) -> tuple[NDArray[np.intp], Floats]:
        """Return the unit of each image, and whether each unit is inside (0 or 1).

        A group with images on both sides counts as two units.
        """
        names, unit = np.unique(2 * self.groups + self.inside, return_inverse=True)
        return unit.reshape(-1), (names % 2).astype(np.float64)

    @property
    def unit_exchange_blocks(self) -> NDArray[np.intp]:
        """Return the exchange block of each unit: the most frequent of its images."""
        unit = self.unit_membership[0]
        shape = (int(unit.max()) + 1, int(self.exchange_blocks.max()) + 1)
        counts = np.bincount(
            unit * shape[1] + self.exchange_blocks, minlength=shape[0] * shape[1]
        ).reshape(shape)
        return np.asarray(counts.argmax(1))

    @property
    def is_ungrouped_binary(self) -> bool:
        """Return whether each group has one image, with a value of 0 or 1 and weight 1."""
        binary = bool(np.isin(self.values, (0.0, 1.0)).all() and (self.weights == 1).all())
        return binary and len(np.unique(self.groups)) == len(self.groups)

    @property
    def inside_group_count(self) -> int:
        """Return the number of groups with an image inside."""
        return len(np.unique(self.groups[self.inside]))


def _estimate_interval(
    inputs: _TestInputs, sums: UnitSums, selection: Floats, alpha: float
) -> ConfidenceInterval:
    """Return the effect with its interval by whole group.

    Both parts of a group that is partly inside count together.
    """
    n, inside = int(inputs.inside.sum()), inputs.inside_group_count
    if not n or inputs.inside.all():
        return ConfidenceInterval(math.nan, -math.inf, math.inf, inside, n)
    effect, influence = compute_influence(sums, selection[None])
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


def _find_untestable_reason(
    inputs: _TestInputs, limits: PermutationLimits, required_groups: int
) -> UntestableReason | None:
    """Return why this cannot be tested and what would be enough; None if it can be tested."""
    n, groups = int(inputs.inside.sum()), inputs.inside_group_count
    outside = (
        np.bincount(inputs.strata[~inputs.inside], minlength=int(inputs.strata.max(initial=0)) + 1)
        > 0
    )
    covered = float(inputs.weights[inputs.inside] @ outside[inputs.strata[inputs.inside]]) / max(
        float(inputs.weights[inputs.inside].sum()), 1e-12
    )
    if groups < limits.min_groups:
        required = max(limits.min_groups, required_groups)
        return UntestableReason(UntestableKind.TOO_FEW_GROUPS, groups, required)
    if n < limits.min_images:
        return UntestableReason(UntestableKind.TOO_FEW_IMAGES, n, limits.min_images)
    outside_groups = len(np.unique(inputs.groups[~inputs.inside]))
    if outside_groups < limits.min_groups:
        return UntestableReason(
            UntestableKind.TOO_FEW_GROUPS_OUTSIDE, outside_groups, limits.min_groups
        )
    if covered < limits.min_coverage:
        return UntestableReason(UntestableKind.NOT_COMPARABLE, covered, limits.min_coverage)
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
        nothing = UntestableReason(UntestableKind.NO_IMAGES)
        return PermutationTest(None, None, 0, nothing, empty, False, limits.min_groups)
    units, chosen = inputs.unit_membership
    sums = sum_by_unit(inputs.values, inputs.weights, inputs.strata, units)
    interval = _estimate_interval(inputs, sums, chosen, alpha)
    large = bool(interval.value >= limits.min_effect)
    needed = _count_required_groups(interval, limits, alpha)
    reason = _find_untestable_reason(inputs, limits, needed or limits.min_groups)
    if reason:
        return PermutationTest(None, None, interval.groups, reason, interval, large, needed)
    if should_use_tables:
        statistic, p = compare_error_rates(inputs.values > 0, inputs.strata, inputs.inside)
    else:
        statistic, p = compute_permutation_p(sums, chosen, inputs.unit_exchange_blocks, draws, seed)
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
    """Test whether images inside are misclassified more often than others of their class.

    The effect is the mean, over the images inside, of the error less the mean error of the same
    class outside. The p-value is one-sided, by studentized permutation of whole groups within
    class. A group with images on both sides counts as two units, which is conservative if its
    images resemble each other. If every group has one image, `compare_error_rates` gives
    the p-value.

    Args:
        errors: 0 or 1, or the cost of the error, [n].
        classes: the class of each image, [n].
        inside: whether an image is inside, bool [n].
        groups: the group of each image, [n].
        draws: number of permutations.
        seed: seed of the permutations.
        limits: what a slice needs to be tested.
    """
    case = _build_inputs(errors, classes, inside, groups, None, classes)
    return _run_test(case, limits, draws, seed, should_use_tables=case.is_ungrouped_binary)


def assign_margin_strata(is_misclassified: ArrayLike, margins: ArrayLike) -> NDArray[np.intp]:
    """Return strata 0..9 [n] of similar distance from the decision threshold.

    Misclassified images are divided by quartiles of their margin, correct ones by its quantiles
    .02, .05, .1, .25 and .5.

    Args:
        is_misclassified: bool [n].
        margins: logit of the label less the best other logit, float [n].
    """
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
    """Test whether an intervention helps images inside more than equally unsure images outside.

    The effect is the mean, over the images inside, of the change less the mean change of the images
    outside in the same stratum (`assign_margin_strata`). The p-value is as in
    `estimate_excess_error`.

    Args:
        correctness_changes: correct after less correct before the intervention, float [n] in -1..1.
        is_misclassified: misclassified before it, bool [n].
        margins: logit of the label less the best other logit before it, float [n].
        inside: whether an image is inside, bool [n].
        groups: the group of each image, [n].
        weights: sampling weights, float [n]; None for equal weights.
        interventions: which intervention each image got, [n], if they differ; only images with the
            same intervention are compared.
        draws: number of permutations.
        seed: seed of the permutations.
        limits: what a slice needs to be tested.
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
