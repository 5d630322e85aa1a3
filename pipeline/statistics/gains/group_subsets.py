"""Confidence bounds of a mean from the means of random subsets of whole groups."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MAX_ENUMERATED_GROUPS = 11
"""Groups up to which all subsets are taken: 2,047 of them."""
SUBSET_DRAWS = 3999
"""Random subsets of more groups: the bound at 2.5 % is then the hundredth of them."""
SUBSET_SEED = 0


def compute_subset_means(group_sums: Floats, group_weights: Floats) -> Floats:
    """Return the sorted means of subsets of groups, float64 [subsets].

    For independent groups whose contributions are symmetric about the mean, it lies with equal
    probability between any two neighbors of them, whatever the sizes of the groups. To compare the
    sum with those after flipping the signs of whole groups gives the same bounds.

    Source: Hartigan 1969, Using subsample values as typical values.

    Args:
        group_sums: sum of the (weighted) values of each group, [groups].
        group_weights: sum of the weights of each group, [groups].

    >>> compute_subset_means(np.array([0.0, 2.0]), np.array([1.0, 1.0])).tolist()
    [0.0, 1.0, 2.0]
    """
    count = len(group_sums)
    if count <= MAX_ENUMERATED_GROUPS:
        bits = np.arange(1, 2**count)[:, None] >> np.arange(count)
        is_drawn = (bits & 1).astype(np.bool_)
    else:
        draws = np.random.default_rng(SUBSET_SEED).random((SUBSET_DRAWS, count))
        is_drawn = draws < 0.5
        is_drawn = is_drawn[is_drawn.any(axis=1)]
    members = is_drawn.astype(np.float64)
    return np.asarray(np.sort((members @ group_sums) / (members @ group_weights)))


def find_subset_bounds(subset_means: Floats, level: float) -> tuple[float, float]:
    """Return the lower and the upper bound of the mean, each one-sided at `level`.

    Args:
        subset_means: the means of `compute_subset_means`.
        level: probability that the mean is below the lower bound.

    Returns:
        -inf and inf if so few groups allow no bound at this level.
    """
    rank = math.floor(level * (len(subset_means) + 1) + 1e-9)
    if rank < 1:
        return -math.inf, math.inf
    return float(subset_means[rank - 1]), float(subset_means[-rank])
