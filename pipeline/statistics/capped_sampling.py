"""Samples with an equal cap per group, and weights that undo the cap."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.statistics.group_sampling import number_within_groups


def draw_capped_sample(
    groups: pd.Series[str], max_rows: int, rng: np.random.Generator
) -> pd.Series[float]:
    """Return the weights of a sample of rows, in the order of the index.

    Every group contributes at most the same number of rows. With more groups than `max_rows`,
    groups are drawn at random.

    Args:
        groups: group of each row.
        max_rows: rows at most.
        rng: source of the draws.

    Returns:
        By index, how many rows each sampled row stands for.
    """
    sizes = groups.value_counts(sort=False)
    drawn_sizes = sizes.iloc[np.sort(rng.permutation(len(sizes))[:max_rows])]
    cap = find_group_cap(drawn_sizes.to_numpy(), max_rows)
    shuffled = groups.iloc[rng.permutation(len(groups))]
    is_taken = shuffled.isin(drawn_sizes.index) & (number_within_groups(shuffled) < cap)
    taken = shuffled[is_taken].sort_index()
    weights = taken.map(sizes / sizes.clip(upper=cap)).astype(np.float64)
    return weights * (len(sizes) / max(len(drawn_sizes), 1))


def find_group_cap(sizes: NDArray[np.integer], max_rows: int) -> int:
    """Return the largest cap at which the capped sizes add up to at most `max_rows`; at least 1.

    Examples:
        >>> find_group_cap(np.array([30, 3, 1]), 10)
        6
    """
    low = 1
    high = max(int(sizes.max(initial=1)), 1)
    while low < high:
        middle = (low + high + 1) // 2
        if np.minimum(sizes, middle).sum() <= max_rows:
            low = middle
        else:
            high = middle - 1
    return low
