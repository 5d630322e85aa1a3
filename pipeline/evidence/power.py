"""What each test has to go by, and what would do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

ERROR = 0.2  # share of failures assumed before anything is known


def power_row(test: str, split: str, part: Mapping[str, Any], needed: int | None) -> dict[str, Any]:
    """One test in words with its photos and groups at hand and the groups that would decide it.

    part: `n`, `groups` and `gain` (a record or None). enough: None where no number would do, because the gain found
    does not lie on the side to be shown.
    """
    groups = int(part["groups"])
    return {
        "test": test,
        "split": split,
        "n": int(part["n"]),
        "groups": groups,
        "groups_needed": needed,
        "enough": None if needed is None else groups >= needed,
        "bound": (part["gain"] or {}).get("bound"),
    }


def detectable_excess(inside: int, outside: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest excess error (a share) of `inside` groups over `outside` groups that a one-sided test at alpha finds
    with this power, where a group fails as a whole or not at all (the worst case of frames that resemble each other).

    1.0 where either side is empty. Source: normal approximation of two proportions (Fleiss 1981, eq. 3.14).
    """
    if inside < 1 or outside < 1:
        return 1.0
    spread = math.sqrt(ERROR * (1 - ERROR) * (1 / inside + 1 / outside))
    return min(1.0, float(np.sum(stats.norm.ppf([1 - alpha, power]))) * spread)
