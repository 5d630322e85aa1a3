"""How similar treated good images and the images of a slice are, in attributes and in errors."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
MIN_SCALE = 1e-6  # keeps the scale of a constant feature positive
ConfusionPair = tuple[int, int]
"""Class indices of a label and a prediction."""


def compute_cliffs_delta(first_values: Floats, second_values: Floats) -> float:
    """Return the mean absolute Cliff's delta of two samples over their columns.

    A multivariate AUC is near 1 as soon as one attribute differs, such as sensor noise. The mean
    over columns still ranks strengths then.

    Source: Cliff 1993.

    Args:
        first_values: float [n, columns], NaN if unknown.
        second_values: float [m, columns], NaN if unknown.

    Returns:
        0 for equal distributions, 1 for disjoint ones; 1 if no column has known values in both.
    """
    deltas = []
    for first, second in zip(first_values.T, second_values.T, strict=True):
        x, y = first[~np.isnan(first)], second[~np.isnan(second)]
        if len(x) and len(y):
            ranks = stats.rankdata(np.concatenate([x, y]))[: len(x)]
            wins = ranks.sum() - len(x) * (len(x) + 1) / 2
            deltas.append(abs(2 * wins / (len(x) * len(y)) - 1))
    return float(np.mean(deltas)) if deltas else 1.0


def measure_confusion_agreement(
    pairs: list[ConfusionPair], groups: list[str], slice_pairs: set[ConfusionPair]
) -> float:
    """Return how often a treatment's confusions occur among the slice's own.

    The share of `pairs` that the slice shows is divided by the share that recurs in other groups of
    the treated images. With many classes few confusions occur twice, whatever the cause.

    Args:
        pairs: label and prediction of each misclassified treated image, [n].
        groups: the group of each of them, [n].
        slice_pairs: the confusions of the slice's own failures.

    Returns:
        A share of at most 1; 0 without pairs.
    """
    if not pairs:
        return 0.0
    groups_by_pair = defaultdict[ConfusionPair, set[str]](set)
    groups_by_label = defaultdict[int, set[str]](set)
    for pair, group in zip(pairs, groups, strict=True):
        groups_by_pair[pair].add(group)
        groups_by_label[pair[0]].add(group)
    is_in_slice = []
    is_recurring = []
    for pair in pairs:
        is_in_slice.append(pair in slice_pairs)
        if len(groups_by_label[pair[0]]) > 1:
            is_recurring.append(len(groups_by_pair[pair]) > 1)
    recurring_share = float(np.mean(is_recurring or [False])) or 1.0
    return min(1.0, float(np.mean(is_in_slice)) / recurring_share)


def compute_alignment(
    good_features: NDArray[np.floating],
    treatment_shifts: NDArray[np.floating],
    failing_features: NDArray[np.floating],
) -> float:
    """Return the cosine between a treatment's mean shift and the shift from good to failing images.

    Features are standardized. The squared length of each mean shift is estimated without bias: the
    variance of the mean is subtracted.

    Args:
        good_features: features of good images, float [n, features].
        treatment_shifts: treated less untreated features of other good images, [m, features].
        failing_features: features of failing images, [k, features].

    Returns:
        -1 to 1; 0 if either shift is no longer than its noise.
    """
    scale = np.concatenate([good_features, failing_features]).std(0) + MIN_SCALE
    good, shifts, failing = (
        np.asarray(values / scale, dtype=np.float64)
        for values in (good_features, treatment_shifts, failing_features)
    )
    shift, gap = shifts.mean(0), failing.mean(0) - good.mean(0)
    shift_length = float(shift @ shift) - _estimate_mean_noise(shifts)
    gap_length = float(gap @ gap) - _estimate_mean_noise(good) - _estimate_mean_noise(failing)
    if shift_length <= 0 or gap_length <= 0:
        return 0.0
    return float(np.clip(shift @ gap / np.sqrt(shift_length * gap_length), -1, 1))


def _estimate_mean_noise(rows: Floats) -> float:
    """Return the summed variance of the mean of rows [n, features]."""
    return float(rows.var(0, ddof=1).sum()) / len(rows)
