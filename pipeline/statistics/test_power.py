"""What each test has to go by, and what would do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

ASSUMED_FAILURE_RATE = 0.2  # share of failures assumed before anything is known


def build_power_row(
    test_name: str, split: str, subset_record: Mapping[str, Any], required_groups: int | None
) -> dict[str, Any]:
    """One test in words with its images and groups at hand and the groups that would decide it.

    part: `n`, `groups` and `gain` (a record or None). enough: None where no number would do, because the gain found
    does not lie on the side to be shown.
    """
    groups = int(subset_record["groups"])
    return {
        "test": test_name,
        "split": split,
        "n": int(subset_record["n"]),
        "groups": groups,
        "groups_needed": required_groups,
        "enough": None if required_groups is None else groups >= required_groups,
        "bound": (subset_record["gain"] or {}).get("bound"),
    }


def compute_detectable_excess(
    inside_groups: int, outside_groups: int, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Smallest excess error (a share) of `inside` groups over `outside` groups that a one-sided test at alpha finds
    with this power, where a group fails as a whole or not at all (the worst case of frames that resemble each other).

    1.0 where either side is empty. Source: normal approximation of two proportions (Fleiss 1981, eq. 3.14).
    """
    if inside_groups < 1 or outside_groups < 1:
        return 1.0
    spread = math.sqrt(
        ASSUMED_FAILURE_RATE * (1 - ASSUMED_FAILURE_RATE) * (1 / inside_groups + 1 / outside_groups)
    )
    return min(1.0, float(np.sum(stats.norm.ppf([1 - alpha, power]))) * spread)
