"""Means with intervals whose unit of evidence is the group."""

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
    """A mean with its two-sided interval; `groups` and `n` count the evidence, `variance` is the mean's own.

    Where nothing is known, value is NaN and the ends are the widest possible (infinite without bounds).
    """

    value: float
    low: float
    high: float
    groups: int
    n: int
    variance: float = math.nan

    def build_record(self) -> dict[str, float | int | None]:
        """The interval as finite JSON: what is not a finite number becomes None."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        return {k: sanitize_float(v) for k, v in ends.items()} | {
            "groups": self.groups,
            "n": self.n,
        }


def sanitize_float(value: float | None) -> float | None:
    """The number as a plain float, or None where it is unknown, NaN or infinite."""
    return float(value) if value is not None and math.isfinite(value) else None


def encode_groups(groups: ArrayLike) -> tuple[NDArray[np.intp], int]:
    """Groups [n] of any sortable kind as numbers 0.. [n], and how many there are."""
    names, inverse = np.unique(np.asarray(groups), return_inverse=True)
    return inverse.reshape(-1), len(names)


def sum_by_group(values: ArrayLike, groups: ArrayLike) -> NDArray[np.float64]:
    """Sum of values [n] within each group: float64 [groups], in sorted order of the groups."""
    inverse, count = encode_groups(groups)
    return np.bincount(inverse, np.asarray(values, dtype=np.float64), minlength=count).astype(
        np.float64
    )


def estimate_mean_variance(
    values: ArrayLike, groups: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Variance of the (weighted) mean of values [n], linearised as a ratio of group sums; NaN below two groups.

    Source: Cochran, Sampling Techniques (1977), ratio estimator over clusters, with the factor G / (G - 1).
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
    """Wilson's interval (1927) of a share at an effective sample size and quantile t."""
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
    """The two ends around a mean whose value and variance are known."""
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
    """Mean of values [n] with its two-sided 1 - alpha interval by group, t with groups - 1 degrees of freedom.

    bounds: the least and greatest possible mean; ends are clipped to it. Bounds of (0, 1), and boolean values,
    mean a share: Wilson's interval at the effective sample size (Korn and Graubard 1998; the number of groups
    where no group differs from another). No group, or one: the bounds themselves, or infinite ends without.
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
    """The difference of two means of different images with its interval, from theirs at the same level; where images
    are shared it is too wide, never too narrow. groups and n: of `now`.

    Source: Zou and Donner 2008 (MOVER), of which Newcombe's hybrid score interval (1998) is the case of two shares.
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
    """How many groups would show, one-sided at alpha with this power, that a mean lies beyond target.

    variance_by_group: what one group contributes, `interval.variance * interval.groups`.
    At least 2; `MOST_GROUPS` where value and target agree, or where anything is unknown.
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
