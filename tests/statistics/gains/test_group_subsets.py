"""Bounds from subsets of groups: pipeline/statistics/gains/group_subsets.py."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.statistics.gains.group_subsets import compute_subset_means, find_subset_bounds


def test_bounds_agree_with_flips_of_signs() -> None:
    sums = np.array([3.0, 1.0, 2.0, -1.0, 4.0, 2.0, 5.0, 1.0])
    weights = np.ones(8)
    low, _ = find_subset_bounds(compute_subset_means(sums, weights), 0.05)
    signs = 1 - 2 * (np.arange(256)[:, None] >> np.arange(8) & 1)
    for mean, is_rejected in ((low - 1e-6, True), (low + 1e-6, False)):
        residuals = sums - mean
        share = (signs @ residuals >= residuals.sum() - 1e-9).mean()
        assert bool(share <= 0.05) is is_rejected


@pytest.mark.parametrize("count", [8, 20])
def test_unequal_groups_are_covered(count: int) -> None:
    rng = np.random.default_rng(0)
    misses = 0
    for _ in range(500):
        weights = np.exp(rng.normal(0, 1.2, count))
        sums = weights * rng.normal(0.3, 1.0, count)
        low, _ = find_subset_bounds(compute_subset_means(sums, weights), 0.05)
        misses += low > 0.3
    assert misses / 500 <= 0.05 + 2.6 * (0.05 * 0.95 / 500) ** 0.5


def test_too_few_groups_have_no_bound() -> None:
    means = compute_subset_means(np.array([1.0, 2.0]), np.ones(2))
    assert find_subset_bounds(means, 0.05) == (-math.inf, math.inf)
