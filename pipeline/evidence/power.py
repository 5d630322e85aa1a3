"""What each test has to go by, and what would do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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
