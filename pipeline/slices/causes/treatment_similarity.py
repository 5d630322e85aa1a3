"""How similar treated good images and the images of a slice are, in attributes and in errors."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
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
