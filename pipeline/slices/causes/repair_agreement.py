"""The test whether a cause accounts for most of a slice's failures: "none of these".

If a cause made all failures, its inverse would repair them as often as good images that the same
treatment breaks. If it made none, its inverse would repair as many as any other intervention. A
slice whose repaired share is significantly below the middle of both has another cause, even if the
inverse repairs significantly many: a hidden sub-class is repaired in part by many transforms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.group_intervals import ConfidenceInterval, estimate_cluster_mean


def compute_shortfall_p_value(
    repaired: NDArray[np.bool_],
    control_shares: NDArray[np.float64],
    groups: NDArray[np.str_],
    regained: ConfidenceInterval | None,
) -> float | None:
    """Return the p-value of the hypothesis that a cause made most failures of a slice.

    With s for the share of failures that the cause made, the expected repaired share is
    s * regained + (1 - s) * control. The hypothesis is s >= `CauseConstants.majority_share`. The
    test is a one-sided t test by group, with the degrees of freedom of the smaller sample.

    Args:
        repaired: whether the inverse transform repairs each failing image, bool [failing].
        control_shares: share of other interventions that repair it, float [failing].
        groups: the group of each failing image, [failing].
        regained: mean and variance, by group, of what the inverse repairs among good images that
            the treatment breaks.

    Returns:
        None if either sample has fewer than `CauseConstants.min_failing_groups` groups.
    """
    constants = CONSTANTS.causes
    share = constants.majority_share
    gain = estimate_cluster_mean(repaired - (1 - share) * control_shares, groups)
    if regained is None or min(gain.groups, regained.groups) < constants.min_failing_groups:
        return None
    shortfall = share * regained.value - gain.value
    variance = gain.variance + share**2 * regained.variance
    if not variance > 0:
        return float(shortfall <= 0)
    degrees = min(gain.groups, regained.groups) - 1
    return float(stats.t.sf(shortfall / np.sqrt(variance), degrees))
