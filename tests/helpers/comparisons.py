"""Records of the artifact `comparison`, as far as the gate reads them."""

from __future__ import annotations

from typing import Any

from pipeline.domain.statuses import ChampionStatus, OpeningReason


def make_gain(mean: float = 0.2, half_width: float = 0.1) -> dict[str, Any]:
    """Return a gain with a symmetric interval."""
    low = mean - half_width
    return {
        "mean": mean,
        "low": low,
        "high": mean + half_width,
        "bound": low,
        "seeds_judged": False,
        "shipped": mean,
    }


def make_subset(
    gain: dict[str, Any],
    *,
    is_passed: bool = True,
    generic_gain: dict[str, Any] | None = None,
    **over: dict[str, Any],
) -> dict[str, Any]:
    """Return the comparison of a subset of 120 images of 40 groups.

    Args:
        gain: gain over the control and the model before.
        is_passed: whether the gain was shown.
        generic_gain: gain over the generic arm, None if it was not trained.
        over: gains over other arms.
    """
    return {
        "n": 120,
        "groups": 40,
        "gain": gain,
        "over": {"before": gain, "control": gain} | over,
        "passed": is_passed,
        "groups_needed": 30 if is_passed else 90,
        "over_generic": generic_gain,
    }


def make_part(
    loss_probability: float = 0.01, slice_name: str | None = None, class_name: str | None = None
) -> dict[str, Any]:
    """Return the change of a part; it is harmed from a probability of one half."""
    return {
        "slice": slice_name,
        "class": class_name,
        "n": 60,
        "groups": 20,
        "reference": 0.95,
        "treated": 0.62 if loss_probability > 0.5 else 0.96,
        "loss_probability": loss_probability,
        "status": "harmed" if loss_probability > 0.5 else "uncertain",
    }


def make_safety(
    overall_bound: float = 0.01,
    harmed: tuple[str, ...] = (),
    harmed_in_slice: tuple[str, ...] = (),
    outside: float = 0.01,
) -> dict[str, Any]:
    """Return what one arm loses, under margins of 1 point overall and 3 by part.

    Args:
        overall_bound: lower bound of the change overall.
        harmed: classes that lose.
        harmed_in_slice: classes that lose in slice s1.
        outside: probability that the other images lose.
    """
    classes, slice_classes = [], []
    for name in ("badge", "no_badge"):
        classes.append(make_part(0.9 if name in harmed else 0.02, None, name))
        slice_classes.append(make_part(0.97 if name in harmed_in_slice else 0.02, "s1", name))
    return {
        "overall": make_gain(0.05, 0.05 - overall_bound),
        "outside": make_part(outside),
        "classes": classes,
        "slices": [make_part(0.01, "s1")],
        "slice_classes": slice_classes,
        "screened": True,
    }


def make_split_record(safety: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return the comparison of a split on which the repair helps.

    Args:
        safety: what is lost against the model before; nothing by default.
        changes: replace parts of the record.
    """
    record = {
        "arms": {"before": [], "control": [], "targeted": []},
        "slices": [make_subset(make_gain()) | {"slice": "s1", "planned": True}],
        "gained": ["s1"],
        "primary": make_subset(make_gain()),
        "safety": {"before": safety or make_safety(), "control": make_safety()},
    }
    return record | changes


def make_foreseen(images: int = 0, groups: int = 0) -> dict[str, Any]:
    """Return what a test of so few groups can show."""
    return {
        "val_before": 0.72,
        "val_after": 0.965,
        "images": images,
        "groups": groups,
        "power": 0.0,
        "detectable": None,
        "groups_needed": 24,
    }


def make_comparison(
    outcome: str = "tested",
    *,
    val: dict[str, Any] | None = None,
    test: dict[str, Any] | None = None,
    reason: str = OpeningReason.VAL_PASSED,
    planned: int = 1,
    has_arms: bool = True,
    seeds: int = 1,
    champion: str = ChampionStatus.NONE,
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
        champion: status of the model in force.
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
        "margins": {"overall": 0.01, "by_class": 0.03, "max_loss_probability": 0.5},
        "champion": {
            "status": champion,
            "run_id": None if champion == ChampionStatus.NONE else "run-7",
        },
        "foreseen": make_foreseen(),
        "val": val,
        "test": (test or make_split_record()) if is_opened else None,
        "opening": opening,
        "costs": [],
        "power": [],
    }
