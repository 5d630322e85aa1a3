"""Paired comparison of two models on the same images, by group and over seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from pipeline.statistics.gains.group_subsets import compute_subset_means, find_subset_bounds
from pipeline.statistics.group_intervals import (
    MAX_REQUIRED_GROUPS,
    encode_groups,
    sanitize_float,
    sum_by_group,
)

Floats = NDArray[np.float64]
MIN_T_GROUPS = 30
"""Effective groups from which Student's t is used instead of flips of whole groups."""


@dataclass(frozen=True)
class PairedGain:
    """The gain of one model over another, as a share.

    Attributes:
        mean: treated less control.
        low: lower end of the two-sided 1 - alpha interval.
        high: upper end of that interval.
        bound: one-sided lower bound at alpha.
        seeds: number of seeds of the treated model.
        groups: number of groups.
        seeds_judged: whether the variance over seeds is known; one seed does not show it.
        n: number of images.
        variance: variance of the mean.
        seed_variance: its part that more groups do not reduce.
        degrees_of_freedom: Satterthwaite's degrees of freedom of the variance.
        seed_degrees: degrees of freedom of the part by seed; zero with one seed.
        training_variance: variance of the mean on these very images, by the seeds of both models.
    """

    mean: float
    low: float
    high: float
    bound: float
    seeds: int
    groups: int
    seeds_judged: bool
    n: int
    variance: float
    seed_variance: float = 0.0
    degrees_of_freedom: float = 1.0
    seed_degrees: float = 0.0
    training_variance: float = 0.0

    @property
    def standard_error(self) -> float:
        """Return the standard error of the mean; infinite if it is unknown."""
        return math.sqrt(self.variance)

    def _foresee_error(self, group_count: int) -> tuple[float, float]:
        """Return the standard error with another number of groups, and its degrees of freedom.

        The variance over seeds stays as it is, however many groups there are.
        """
        by_group = max(self.variance - self.seed_variance, 0.0) * self.groups / group_count
        parts = ((self.seed_variance, self.seed_degrees), (by_group, group_count - 1.0))
        return math.sqrt(by_group + self.seed_variance), _combine_degrees(*parts)

    def foresee_seeds(self, seed_count: int) -> tuple[float, float]:
        """Return the standard error with another number of seeds, and its degrees of freedom.

        More seeds reduce the variance by training; what is left is the variance by group.

        Args:
            seed_count: number of seeds of both models.
        """
        by_seed = self.training_variance * self.seeds / seed_count
        by_group = max(self.variance - self.training_variance, 0.0)
        seed_degrees = self.seed_degrees * (seed_count - 1) / max(self.seeds - 1, 1)
        parts = ((by_seed, seed_degrees), (by_group, self.groups - 1.0))
        return math.sqrt(by_seed + by_group), _combine_degrees(*parts)

    def compute_power(self, group_count: int, alpha: float, target: float = 0.0) -> float:
        """Return the probability that as many groups show a gain above `target`.

        The observed gain is taken for the true one.

        Args:
            group_count: number of groups of the test.
            alpha: one-sided level of the test.
            target: the gain to exceed.
        """
        if not math.isfinite(self.variance) or not _is_testable(group_count, alpha):
            return 0.0
        error, degrees = self._foresee_error(group_count)
        if error == 0:
            return float(self.mean > target)
        quantile = float(stats.t.ppf(1 - alpha, degrees))
        return float(stats.t.sf(quantile - (self.mean - target) / error, degrees))

    def compute_detectable_gain(
        self, group_count: int, alpha: float, power: float = 0.8
    ) -> float | None:
        """Return the smallest gain that as many groups show with this power; None if none."""
        if not math.isfinite(self.variance) or not _is_testable(group_count, alpha):
            return None
        error, degrees = self._foresee_error(group_count)
        gain = float(stats.t.ppf(1 - alpha, degrees) + stats.t.ppf(power, degrees)) * error
        return gain if gain < 1 else None

    def estimate_required_groups(
        self, target: float = 0.0, alpha: float = 0.05, power: float = 0.8
    ) -> int | None:
        """Return how many groups would show a gain above `target`; None if no number would.

        Args:
            target: the gain to exceed.
            alpha: one-sided level of the test.
            power: probability with which the test is to succeed.
        """
        enough = MAX_REQUIRED_GROUPS
        if self.compute_power(enough, alpha, target) < power:
            return None
        too_few = 1
        while enough - too_few > 1:
            middle = (enough + too_few) // 2
            if self.compute_power(middle, alpha, target) < power:
                too_few = middle
            else:
                enough = middle
        return enough

    def build_record(self) -> dict[str, Any]:
        """Return the gain as finite JSON. `within_noise`: zero is in the interval."""
        ends = {k: sanitize_float(getattr(self, k)) for k in ("mean", "low", "high", "bound")}
        counts = {
            "seeds": self.seeds,
            "groups": self.groups,
            "n": self.n,
            "seeds_judged": self.seeds_judged,
        }
        return {**ends, **counts, "within_noise": not (self.low > 0 or self.high < 0)}


def _is_testable(group_count: int, level: float) -> bool:
    """Return whether flips of as many groups can reach a level at all."""
    return group_count >= 2 and 0.5**group_count <= level


def _combine_degrees(*parts: tuple[float, float]) -> float:
    """Return Satterthwaite's degrees of freedom of a sum of variances with theirs."""
    known = [(variance, degrees) for variance, degrees in parts if variance > 0]
    total = sum(variance for variance, _ in known)
    spread = sum(variance**2 / max(degrees, 1.0) for variance, degrees in known)
    return total**2 / spread if spread > 0 else max(degrees for _, degrees in parts)


@dataclass(frozen=True)
class _GroupSums:
    """Differences of two models, summed by group.

    Attributes:
        sums: weighted differences by seed and group, float64 [seeds, groups].
        weights: weights by group, which add up to one, float64 [groups].
        changed: number of groups in which any prediction differs.
        n: number of images.
        seed_variances: by arm, variance of its mean over seeds, and degrees of freedom.
    """

    sums: Floats
    weights: Floats
    changed: int
    n: int
    seed_variances: tuple[tuple[float, float], ...]

    @property
    def mean(self) -> float:
        return float(self.sums.sum(axis=1).mean())

    @property
    def effective_groups(self) -> float:
        """Return how many groups of equal weight would count as much (Kish)."""
        return float(1 / (self.weights**2).sum())

    def estimate_group_variance(self) -> float:
        """Return the variance by group of the mean, with the factor G / (G - 1)."""
        count = len(self.weights)
        residuals = self.sums.mean(axis=0) - self.mean * self.weights
        return float(count / (count - 1) * (residuals**2).sum())

    def estimate_interaction(self) -> float:
        """Return the part of the variance that seeds and groups share, so that it counts once."""
        seeds, groups = self.sums.shape
        if seeds == 1:
            return 0.0
        deviations = self.sums - self.sums.mean(axis=0)
        deviations -= deviations.sum(axis=1, keepdims=True) * self.weights
        return float((deviations**2).sum() * groups / (seeds * (seeds - 1) * (groups - 1)))


def _sum_groups(treated: Floats, control: Floats, groups: ArrayLike, weights: Floats) -> _GroupSums:
    codes, count = encode_groups(groups)
    shares = weights / weights.sum() if len(weights) else weights
    by_seed = []
    for row in treated - control:
        by_seed.append(np.bincount(codes, shares * row, minlength=count))
    changes = np.abs(treated - control).mean(axis=0)
    variances = []
    for arm in (treated, control):
        if len(arm) > 1:
            spread = float((arm @ shares).var(ddof=1)) / len(arm)
            variances.append((spread, len(arm) - 1.0))
    return _GroupSums(
        np.array(by_seed),
        sum_by_group(shares, groups),
        int((sum_by_group(changes, groups) > 1e-12).sum()),
        treated.shape[1],
        tuple(variances),
    )


def estimate_paired_gain(
    treated: ArrayLike,
    control: ArrayLike,
    groups: ArrayLike,
    alpha: float = 0.05,
    weights: ArrayLike | None = None,
) -> PairedGain:
    """Return the gain of treated over control, by group and over seeds.

    The variance of the mean is A + B less what both count: A by seed, of each arm by itself; B by
    group. Student's t has Satterthwaite's degrees of freedom of both. With fewer than 30 effective
    groups the bounds come from subsets of whole groups, widened as far as seeds widen those of t.
    With one seed only groups are judged. The ends are -1 and 1 if so few groups could not show
    anything at their level.

    Source: Satterthwaite 1946; Welch 1947; Cameron, Gelbach and Miller 2011 (two-way clusters).

    Args:
        treated: correctness or utility of each prediction, [seeds, n].
        control: the same of the other model, [seeds, n], or of a single model, [n].
        groups: the group of each image, [n].
        alpha: level of the bound; the interval covers 1 - alpha.
        weights: weight of each image, [n]; None for equal weights.

    >>> groups = np.repeat(np.arange(20), 2)
    >>> gain = estimate_paired_gain(np.ones(40), np.arange(40) % 4 > 0, groups)
    >>> gain.mean, gain.groups, gain.bound > 0
    (0.25, 20, True)
    """
    first = np.atleast_2d(np.asarray(treated, dtype=np.float64))
    second = np.atleast_2d(np.asarray(control, dtype=np.float64))
    w = np.ones(first.shape[1]) if weights is None else np.asarray(weights, dtype=np.float64)
    by_group = _sum_groups(first, second, groups, w)
    seeds, count = len(first), len(by_group.weights)
    if count < 2:
        mean = by_group.mean if first.shape[1] else math.nan
        return PairedGain(mean, -1.0, 1.0, -1.0, seeds, count, seeds > 1, first.shape[1], math.inf)
    return _estimate_gain(by_group, alpha)


def _estimate_gain(by_group: _GroupSums, alpha: float) -> PairedGain:
    """Return the gain from at least two groups."""
    group_part = by_group.estimate_group_variance()
    seed_part = sum(variance for variance, _ in by_group.seed_variances)
    variance = max(group_part, group_part + seed_part - by_group.estimate_interaction())
    group_degrees = max(by_group.effective_groups - 1, 1.0)
    degrees = _combine_degrees(*by_group.seed_variances, (group_part, group_degrees))
    adjusted = variance + _adjust_few_changes(by_group, group_part)
    count = len(by_group.weights)
    ends = []
    for level in (alpha / 2, alpha):
        half = float(stats.t.ppf(1 - level, degrees)) * math.sqrt(adjusted)
        low, high = by_group.mean - half, by_group.mean + half
        if by_group.effective_groups < MIN_T_GROUPS and by_group.changed:
            plain = float(stats.t.ppf(1 - level, group_degrees)) * math.sqrt(group_part)
            seeded = float(stats.t.ppf(1 - level, degrees)) * math.sqrt(variance)
            low, high = _find_flip_bounds(by_group, level, seeded / plain if plain else 1.0)
        is_testable = _is_testable(count, level)
        ends.append((max(-1.0, low), min(1.0, high)) if is_testable else (-1.0, 1.0))
    seeds = len(by_group.sums)
    return PairedGain(
        by_group.mean,
        *ends[0],
        ends[1][0],
        seeds,
        count,
        seeds > 1,
        by_group.n,
        adjusted,
        max(0.0, variance - group_part),
        degrees,
        sum(degrees for _, degrees in by_group.seed_variances),
        seed_part,
    )


def _find_flip_bounds(by_group: _GroupSums, level: float, widening: float) -> tuple[float, float]:
    means = compute_subset_means(by_group.sums.mean(axis=0), by_group.weights)
    low, high = find_subset_bounds(means, level)
    mean = by_group.mean
    return mean - (mean - low) * widening, mean + (high - mean) * widening


def _adjust_few_changes(by_group: _GroupSums, group_part: float) -> float:
    """Return what is added to the variance: one more changed group is counted on either side.

    Otherwise three changed groups of a hundred would already be significant.

    Source: the adjustment of Bonett and Price 2012 for paired proportions, applied to groups.
    """
    if not by_group.changed:
        return 2 / by_group.n**2
    return group_part * 2 / by_group.changed
