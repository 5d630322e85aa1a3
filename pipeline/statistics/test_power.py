"""Power of the tests: what each has, and what would be enough."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

ASSUMED_FAILURE_RATE = 0.2  # share of failures assumed before anything is known

ASSUMED_CHANGED_SHARE = 0.3
"""Share of groups whose images change with a remedy, assumed before anything is retrained."""


def build_power_row(
    subset_record: Mapping[str, Any], required_groups: int | None
) -> dict[str, Any]:
    """Return the images and groups of a test, and the groups that would decide it.

    Args:
        subset_record: `n`, `groups` and `gain` (a record or None) of the subset.
        required_groups: groups that would decide; None if no number would.
    """
    groups = int(subset_record["groups"])
    return {
        "n": int(subset_record["n"]),
        "groups": groups,
        "groups_needed": required_groups,
        "enough": None if required_groups is None else groups >= required_groups,
        "bound": (subset_record["gain"] or {}).get("bound"),
    }


def compute_detectable_excess(
    inside_groups: int, outside_groups: int, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Return the smallest excess error that a one-sided test detects, as a share.

    A group is assumed to fail as a whole or not at all, the worst case of similar images.

    Source: normal approximation of two proportions (Fleiss 1981, eq. 3.14).

    Args:
        inside_groups: number of groups inside.
        outside_groups: number of groups outside.
        alpha: one-sided level.
        power: probability of detection.

    Returns:
        1.0 if either side is empty.

    >>> round(compute_detectable_excess(20, 80), 3)
    0.249
    """
    if inside_groups < 1 or outside_groups < 1:
        return 1.0
    spread = math.sqrt(
        ASSUMED_FAILURE_RATE * (1 - ASSUMED_FAILURE_RATE) * (1 / inside_groups + 1 / outside_groups)
    )
    return min(1.0, float(np.sum(stats.norm.ppf([1 - alpha, power]))) * spread)


def compute_detectable_gain(
    group_count: int, alpha: float = 0.025, power: float = 0.8
) -> float | None:
    """Return the smallest gain of a remedy that a test of so many groups shows, as a share.

    A group is assumed to change as a whole or not at all, the worst case of similar images.

    Args:
        group_count: number of groups of the slice on test.
        alpha: one-sided level; that of a first opening by default.
        power: probability of detection.

    Returns:
        None if the groups are too few to show any gain.

    >>> round(compute_detectable_gain(50), 2)
    0.22
    >>> compute_detectable_gain(4) is None
    True
    """
    if group_count < 2 or 0.5**group_count > alpha:
        return None
    quantiles = np.asarray(stats.t.ppf([1 - alpha, power], group_count - 1))
    gain = float(quantiles.sum()) * math.sqrt(ASSUMED_CHANGED_SHARE / group_count)
    return gain if gain < 1 else None
