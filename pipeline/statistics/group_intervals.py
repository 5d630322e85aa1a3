"""Means with confidence intervals whose unit of evidence is the group."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

MAX_REQUIRED_GROUPS = 1_000_000
"""What `groups_needed` answers where no affordable number of groups would decide."""


@dataclass(frozen=True)
class ConfidenceInterval:
    """A mean with its two-sided confidence interval.

    Attributes:
        value: the mean; NaN if unknown.
        low: lower end; the lowest possible value if unknown, infinite without bounds.
        high: upper end, likewise.
        groups: number of groups behind the mean.
        n: number of values behind the mean.
        variance: variance of the mean; NaN if unknown.
    """

    value: float
    low: float
    high: float
    groups: int
    n: int
    variance: float = math.nan

    def build_record(self) -> dict[str, float | int | None]:
        """Return the interval as finite JSON, with None for every number that is not finite."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        return {k: sanitize_float(v) for k, v in ends.items()} | {
            "groups": self.groups,
            "n": self.n,
        }


def sanitize_float(value: float | None) -> float | None:
    """Return `value` as a plain float, or None if it is unknown, NaN or infinite.

    >>> sanitize_float(0.5)
    0.5
    >>> sanitize_float(float("inf")) is None
    True
    """
    return float(value) if value is not None and math.isfinite(value) else None


def encode_groups(groups: ArrayLike) -> tuple[NDArray[np.intp], int]:
    """Return groups [n] of any sortable kind as codes 0.. [n], and the number of groups.

    >>> codes, count = encode_groups(["b", "a", "b"])
    >>> codes.tolist(), count
    ([1, 0, 1], 2)
    """
    names, inverse = np.unique(np.asarray(groups), return_inverse=True)
    return inverse.reshape(-1), len(names)


def sum_by_group(values: ArrayLike, groups: ArrayLike) -> NDArray[np.float64]:
    """Return the sum of values [n] within each group, float64 [groups], in sorted order.

    >>> sum_by_group([1.0, 2.0, 4.0], ["b", "a", "b"]).tolist()
    [2.0, 5.0]
    """
    inverse, count = encode_groups(groups)
    return np.bincount(inverse, np.asarray(values, dtype=np.float64), minlength=count).astype(
        np.float64
    )


def estimate_mean_variance(
    values: ArrayLike, groups: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Return the variance of the (weighted) mean of values [n]; NaN with fewer than two groups.

    The mean is linearized as a ratio of group sums, with the factor G / (G - 1).

    Source: Cochran 1977, Sampling Techniques, ratio estimator over clusters.

    Args:
        values: the values, [n].
        groups: the group of each value, [n].
        weights: the weight of each value, [n]; None for equal weights.

    >>> round(estimate_mean_variance([0, 0, 1, 1], ["a", "a", "b", "b"]), 3)
    0.25
    """
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(x) or w.sum() <= 0:
        return math.nan
    sums = sum_by_group(w * (x - np.average(x, weights=w)), groups)
    count = len(sums)
    return float(count / (count - 1) * (sums**2).sum() / w.sum() ** 2) if count > 1 else math.nan


def _compute_wilson_interval(
    share: float, effective_size: float, quantile: float
) -> tuple[float, float]:
    """Return Wilson's interval (1927) of a share at an effective sample size and a t quantile."""
    center = (share + quantile * quantile / (2 * effective_size)) / (
        1 + quantile * quantile / effective_size
    )
    half = (
        quantile
        / (1 + quantile * quantile / effective_size)
        * math.sqrt(
            share * (1 - share) / effective_size
            + quantile * quantile / (4 * effective_size * effective_size)
        )
    )
    return max(0.0, min(share, center - half)), min(1.0, max(share, center + half))


def _compute_t_interval(
    value: float, variance: float, group_count: int, alpha: float
) -> tuple[float, float]:
    half = float(stats.t.ppf(1 - alpha / 2, group_count - 1)) * math.sqrt(variance)
    return value - half, value + half


def _compute_interval_ends(
    interval: ConfidenceInterval,
    weights: NDArray[np.float64],
    alpha: float,
    bounds: tuple[float, float] | None,
) -> tuple[float, float]:
    """Return both ends of the interval around a mean of known value and variance."""
    value, variance, groups = interval.value, interval.variance, interval.groups
    if bounds == (0.0, 1.0):
        kish = float(weights.sum() ** 2 / (weights**2).sum())
        size = min(kish, value * (1 - value) / variance) if variance > 0 else float(groups)
        return _compute_wilson_interval(value, size, float(stats.t.ppf(1 - alpha / 2, groups - 1)))
    if bounds and variance == 0:
        unseen = 1 - (alpha / 2) ** (
            1 / groups
        )  # the share of groups that may differ though none was seen to
        return value - unseen * (value - bounds[0]), value + unseen * (bounds[1] - value)
    low, high = _compute_t_interval(value, variance, groups, alpha)
    return (max(low, bounds[0]), min(high, bounds[1])) if bounds else (low, high)


def estimate_cluster_mean(
    values: ArrayLike,
    groups: ArrayLike,
    alpha: float = 0.05,
    weights: ArrayLike | None = None,
    bounds: tuple[float, float] | None = None,
) -> ConfidenceInterval:
    """Return the mean of values [n] with its two-sided interval by group.

    The interval uses Student's t with groups - 1 degrees of freedom. Shares get Wilson's interval
    at the effective sample size (Korn and Graubard 1998), which is the number of groups if all
    groups have the same mean. With fewer than two groups the ends are the bounds, or infinite.

    Args:
        values: numbers or booleans, [n]. Booleans imply the bounds (0, 1).
        groups: the group of each value, [n].
        alpha: the interval covers 1 - alpha.
        weights: the weight of each value, [n]; None for equal weights.
        bounds: lowest and highest possible mean; the ends are clipped to them.

    >>> interval = estimate_cluster_mean([True, True, False, True], ["a", "b", "c", "d"])
    >>> interval.value, interval.groups
    (0.75, 4)
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.131, 0.984)
    """
    x = np.asarray(values)
    if x.dtype == np.bool_:
        bounds = (0.0, 1.0)
    bounds = (float(bounds[0]), float(bounds[1])) if bounds else None
    w = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=np.float64)
    count = encode_groups(groups)[1]
    value = float(np.average(x, weights=w)) if len(x) and w.sum() > 0 else math.nan
    variance = estimate_mean_variance(x, groups, w)
    widest = bounds or (-math.inf, math.inf)
    known = ConfidenceInterval(value, *widest, groups=count, n=len(x), variance=variance)
    if math.isnan(variance):
        return known
    low, high = _compute_interval_ends(known, w, alpha, bounds)
    return ConfidenceInterval(value, low, high, count, len(x), variance)


def estimate_difference(
    current: ConfidenceInterval, previous: ConfidenceInterval
) -> ConfidenceInterval:
    """Return the difference of two means of different images, with its interval.

    The interval follows from the two given intervals, which have the same level. If the means share
    images it is too wide, never too narrow. Group count and n belong to `current`.

    Source: Zou and Donner 2008 (MOVER); Newcombe's hybrid score interval (1998) is its special case
    of two shares.
    """
    value = current.value - previous.value
    low = value - math.hypot(current.value - current.low, previous.high - previous.value)
    return ConfidenceInterval(
        value,
        low,
        value + math.hypot(current.high - current.value, previous.value - previous.low),
        current.groups,
        current.n,
    )


def estimate_required_groups(
    value: float, target: float, group_variance: float, alpha: float = 0.05, power: float = 0.8
) -> int:
    """Return how many groups would show that a mean exceeds a target, or stays below it.

    Args:
        value: the mean, as far as it is known.
        target: the number that the mean is to exceed, or to stay below.
        group_variance: variance that one group contributes: `interval.variance * interval.groups`.
        alpha: one-sided level of the test.
        power: probability with which the test is to succeed.

    Returns:
        At least 2; `MAX_REQUIRED_GROUPS` if value and target agree, or anything is unknown.

    >>> estimate_required_groups(0.1, 0.0, 0.04)
    28
    >>> estimate_required_groups(0.0, 0.0, 0.04) == MAX_REQUIRED_GROUPS
    True
    """
    distance = abs(value - target)
    if not math.isfinite(distance) or not math.isfinite(group_variance) or distance == 0:
        return MAX_REQUIRED_GROUPS
    needed = 2.0
    for _ in range(50):  # t depends on the answer
        df = max(needed - 1, 1.0)
        t = float(stats.t.ppf(1 - alpha, df)) + float(stats.t.ppf(power, df))
        update = max(2.0, math.ceil(t**2 * group_variance / distance**2))
        if update >= MAX_REQUIRED_GROUPS:
            return MAX_REQUIRED_GROUPS
        if abs(update - needed) < 1:
            break
        needed = (needed + update) / 2 if update < needed else update
    return math.ceil(max(needed, update))
