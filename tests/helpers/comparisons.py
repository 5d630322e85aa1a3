"""Records of the artifact `comparison`, as far as the gate reads them."""

from __future__ import annotations

from typing import Any

from pipeline.domain.statuses import OpeningReason


def make_gain(mean: float = 0.2, half_width: float = 0.1) -> dict[str, Any]:
    """Return a gain with a symmetric interval."""
    low = mean - half_width
    return {
        "mean": mean,
        "low": low,
        "high": mean + half_width,
        "bound": low,
        "seeds_judged": False,
    }


def make_subset(
    gain: dict[str, Any], *, is_passed: bool = True, generic_gain: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the comparison of a subset of 120 images of 40 groups.

    Args:
        gain: gain of all seeds, and of the first.
        is_passed: whether the gain was shown.
        generic_gain: gain over the generic arm, None if it was not trained.
    """
    return {
        "n": 120,
        "groups": 40,
        "gain": gain,
        "first_seed": gain,
        "passed": is_passed,
        "groups_needed": 30 if is_passed else 90,
        "over_generic": generic_gain,
    }


def make_non_inferiority(
    overall_bound: float = 0.01, harmed: list[str] | None = None, pooled_bound: float | None = None
) -> dict[str, Any]:
    """Return the judgement of harm under margins of 1 point overall and 3 by class.

    Args:
        overall_bound: lower bound of the change overall.
        harmed: classes whose harm was shown.
        pooled_bound: lower bound of the small classes together, None if there are none.
    """
    classes = []
    for name in ("badge", "no_badge"):
        status = "harmed" if name in (harmed or []) else "not inferior"
        classes.append({"class": name, "status": status})
    is_pooled_passed = None
    if pooled_bound is not None:
        classes.append({"class": "rare", "status": "not assessable"})
        is_pooled_passed = pooled_bound > -0.03
    return {
        "overall": {"mean": 0.05, "bound": overall_bound},
        "overall_passed": overall_bound > -0.01,
        "pooled": None if pooled_bound is None else {"bound": pooled_bound},
        "pooled_passed": is_pooled_passed,
        "classes": classes,
        "classes_passed": not harmed and is_pooled_passed is not False,
    }


def make_split_record(**changes: Any) -> dict[str, Any]:
    """Return the comparison of a split on which the repair helps; `changes` replace parts."""
    record = {
        "arms": {"before": [], "control": [], "targeted": []},
        "slices": [make_subset(make_gain()) | {"slice": "s1", "planned": True}],
        "primary": make_subset(make_gain()),
        "outside": make_subset(make_gain(0.0, 0.02)),
        "non_inferiority": make_non_inferiority(),
    }
    return record | changes


def make_comparison(
    outcome: str = "tested",
    *,
    val: dict[str, Any] | None = None,
    test: dict[str, Any] | None = None,
    reason: str = OpeningReason.VAL_PASSED,
    planned: int = 1,
    has_arms: bool = True,
    seeds: int = 1,
) -> dict[str, Any]:
    """Return a comparison; it is tested on the sealed set unless another outcome is named.

    Args:
        outcome: how far the comparison came.
        val: record of the validation set.
        test: record of the test set.
        reason: why the test set was opened or not.
        planned: number of planned slices.
        has_arms: whether the targeted arm was trained.
        seeds: number of seeds.
    """
    val = val or make_split_record()
    if not has_arms:
        val = val | {"arms": {"before": []}}
    is_opened = outcome == "tested"
    opening = {
        "opened": is_opened,
        "reused": False,
        "reason": reason,
        "number": 1 if is_opened else None,
        "ordinal": "first" if is_opened else None,
        "alpha": 0.025 if is_opened else None,
    }
    return {
        "outcome": outcome,
        "counts": {"slices": 3, "confirmed": 1, "planned": planned, "seeds": seeds},
        "margins": {"overall": 0.01, "by_class": 0.03},
        "val": val,
        "test": (test or make_split_record()) if is_opened else None,
        "opening": opening,
        "costs": [],
        "power": [],
    }
