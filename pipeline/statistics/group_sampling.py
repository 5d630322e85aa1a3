"""Samples and folds that treat the group as the unit."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold

from pipeline.statistics.group_intervals import encode_groups


def number_within_groups(groups: ArrayLike) -> NDArray[np.intp]:
    """Return how many earlier items belong to the same group as each item, int [n].

    >>> number_within_groups(["a", "a", "b", "a"]).tolist()
    [0, 1, 0, 2]
    """
    keys = pd.Series(np.asarray(groups))
    return np.asarray(keys.groupby(keys, sort=False).cumcount(), dtype=np.intp)


def draw_round_robin(
    groups: NDArray[Any], rows: NDArray[np.intp], max_count: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return up to `max_count` of `rows` in random order, each group once before a second of any.

    Args:
        groups: the group of every row of the table, so that `groups[rows]` belong to `rows`.
        rows: the row numbers to draw from, [n].
        max_count: how many rows to return at most.
        rng: source of the one permutation that is drawn.

    >>> groups = np.array(["a", "a", "a", "b", "c"])
    >>> rows = draw_round_robin(groups, np.arange(5), 3, np.random.default_rng(0))
    >>> sorted(groups[rows].tolist())
    ['a', 'b', 'c']
    """
    shuffled = rng.permutation(rows)
    turns = number_within_groups(groups[shuffled])
    return shuffled[np.argsort(turns, kind="stable")[:max_count]]


def sample_by_group(
    groups: NDArray[Any], rows: NDArray[np.intp], max_count: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return up to `max_count` of `rows` in ascending order, spread evenly over the groups.

    Args:
        groups: the group of every row of the table, so that `groups[rows]` belong to `rows`.
        rows: the row numbers to draw from, [n].
        max_count: how many rows to return at most.
        rng: source of the one permutation that is drawn.
    """
    return np.sort(draw_round_robin(groups, rows, max_count, rng))


def sample_classes_by_group(
    labels: NDArray[np.integer[Any]],
    groups: NDArray[Any],
    max_class_count: int,
    max_count: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Return positions of equally many images of each class, spread over its groups.

    Args:
        labels: class indices, [n].
        groups: the group of each image, [n].
        max_class_count: most images of a class.
        max_count: most images in all, but two of each class always.
        rng: source of the permutations that are drawn.
    """
    classes = np.unique(labels)
    class_count = min(max_class_count, max(2, max_count // max(1, len(classes))))
    chosen = [np.zeros(0, np.intp)]
    for label in classes:
        chosen.append(sample_by_group(groups, np.flatnonzero(labels == label), class_count, rng))
    return np.concatenate(chosen)


def assign_group_folds(
    labels: NDArray[np.integer[Any]], groups: ArrayLike, fold_count: int, seed: int
) -> NDArray[np.int64]:
    """Return the fold of each image: groups stay whole, classes are spread as evenly as possible.

    Args:
        labels: class indices, [n].
        groups: the group of each image, [n].
        fold_count: number of folds.
        seed: seed of the assignment.
    """
    group_codes, group_count = encode_groups(groups)
    fold_count = min(fold_count, group_count)
    folds = np.zeros(len(labels), np.int64)
    if fold_count < 2:
        return folds
    if np.bincount(labels).max() < fold_count:
        splitter = GroupKFold(fold_count, shuffle=True, random_state=seed)
    elif group_count == len(labels):  # each image is its own group: as good, and faster
        splitter = StratifiedKFold(fold_count, shuffle=True, random_state=seed)
    else:
        splitter = StratifiedGroupKFold(fold_count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "The (least populated class|groups parameter is ignored)", UserWarning
        )
        for fold, (_, held_out) in enumerate(splitter.split(folds, labels, group_codes)):
            folds[held_out] = fold
    return folds
