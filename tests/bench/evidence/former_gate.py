"""The gate as it was before 2026-12: targeted against control alone, t with S - 1 degrees.

It is kept so that both gates can be asked about the same draws.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.statistics.group_intervals import estimate_mean_variance, sum_by_group
from pipeline.statistics.model_comparison import ModelComparison
from pipeline.statistics.multiple_testing import adjust_holm

OVERALL_MARGIN, CLASS_MARGIN, HARM_LEVEL, MIN_CLASS_GROUPS = 0.01, 0.03, 0.05, 20
Gain = tuple[float, float, float, float]


def estimate_former_gain(
    differences: NDArray[np.float64], groups: NDArray[np.str_], alpha: float
) -> Gain:
    """Return the one-sided bound, both ends of the interval, and the p-value of harm.

    Args:
        differences: treated less control, [seeds, n].
        groups: the group of each image, [n].
        alpha: level of the bound.
    """
    seeds, group_count = len(differences), len(np.unique(groups))
    averages = differences.mean(axis=0)
    mean = float(averages.mean())
    changed = int((np.abs(sum_by_group(np.abs(averages), groups)) > 1e-12).sum())
    variance = estimate_mean_variance(averages, groups)
    variance = variance * (changed + 2) / changed if changed else variance + 2 / averages.size**2
    between = float(differences.mean(axis=1).var(ddof=1)) / seeds if seeds > 1 else 0.0
    degrees = seeds - 1 if seeds > 1 else group_count - 1
    error = math.sqrt(variance + between)
    one = float(stats.t.ppf(1 - alpha, degrees)) * error
    two = float(stats.t.ppf(1 - alpha / 2, degrees)) * error
    p_harm = max(float(stats.t.cdf(mean / error, degrees)), 0.5**group_count)
    return mean - one, mean - two, mean + two, p_harm


def passes_former_split(
    comparison: ModelComparison, inside: NDArray[np.bool_], alpha: float
) -> bool:
    """Return whether a split held all former conditions."""
    differences = comparison.compute_arm_utilities("targeted") - comparison.compute_arm_utilities(
        "control"
    )
    groups = comparison.groups

    def estimate(mask: NDArray[np.bool_], seed_count: int | None = None) -> Gain:
        return estimate_former_gain(differences[:seed_count, mask], groups[mask], alpha)

    if estimate(inside)[0] <= 0 or estimate(inside, 1)[0] <= 0:
        return False
    if estimate(comparison.full_mask)[0] <= -OVERALL_MARGIN or estimate(~inside)[2] < 0:
        return False
    masks = [comparison.labels == label for label in np.unique(comparison.labels)]
    p_values = adjust_holm([estimate(mask)[3] for mask in masks])
    return bool((p_values > HARM_LEVEL).all())
