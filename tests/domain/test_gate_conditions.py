"""Conditions of the gate and limits of its verdict: pipeline/domain/gate_conditions.py."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.gate_conditions import can_promote, evaluate_gate, list_limits
from pipeline.domain.statuses import GateCondition, GateLimit
from tests.helpers.comparisons import (
    make_comparison,
    make_gain,
    make_non_inferiority,
    make_split_record,
    make_subset,
)

ORDER = [
    ("planned slice", None),
    ("slice gain", "val"),
    ("overall not worse", "val"),
    ("no class worse", "val"),
    ("no harm outside", "val"),
    ("test opened", None),
    ("planned gain", "test"),
    ("overall not worse", "test"),
    ("no class worse", "test"),
    ("no harm outside", "test"),
]


def _list_failed(comparison: dict[str, Any]) -> list[tuple[str, str | None]]:
    failed = [item for item in evaluate_gate(comparison) if not item["passed"]]
    return [(item["condition"], item["split"]) for item in failed]


def test_a_repair_that_helps_passes_every_condition() -> None:
    comparison = make_comparison()
    conditions = evaluate_gate(comparison)
    assert [(item["condition"], item["split"]) for item in conditions] == ORDER
    assert can_promote(comparison, conditions)
    gain = conditions[1]
    assert (gain["slice"], gain["threshold"]) == ("s1", 0.0)
    assert gain["value"] == gain["facts"]["bound"] > 0


@pytest.mark.parametrize("outcome", ["no slice", "no plan", "no failures"])
def test_without_a_planned_slice_nothing_else_is_judged(outcome: str) -> None:
    comparison = make_comparison(outcome=outcome, planned=0)
    (condition,) = evaluate_gate(comparison)
    assert (condition["condition"], condition["passed"]) == ("planned slice", False)
    assert not can_promote(comparison, [condition])


def test_without_candidates_only_the_slices_are_judged() -> None:
    comparison = make_comparison(outcome="no candidates", has_arms=False)
    conditions = evaluate_gate(comparison)
    assert [item["condition"] for item in conditions] == ["planned slice"]
    assert conditions[0]["passed"]
    assert not can_promote(comparison, conditions), "the test set was not opened"


def test_a_sealed_test_is_a_failed_condition_with_its_reason() -> None:
    comparison = make_comparison(outcome="refused on val", reason="no gain on val")
    opened = evaluate_gate(comparison)[-1]
    assert (opened["condition"], opened["passed"]) == ("test opened", False)
    assert opened["facts"]["reason"] == "no gain on val"


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"primary": make_subset(make_gain(0.05, 0.1), is_passed=False)}, "planned gain"),
        ({"outside": make_subset(make_gain(-0.1, 0.05))}, "no harm outside"),
        ({"non_inferiority": make_non_inferiority(overall_bound=-0.02)}, "overall not worse"),
        ({"non_inferiority": make_non_inferiority(harmed=["badge"])}, "no class worse"),
        ({"non_inferiority": make_non_inferiority(pooled_bound=-0.05)}, "no class worse"),
        (
            {"primary": make_subset(make_gain(), generic_gain=make_gain(-0.1, 0.05))},
            "generic not better",
        ),
    ],
)
def test_one_failure_on_test_refuses_the_candidate(change: dict[str, Any], failed: str) -> None:
    comparison = make_comparison(test=make_split_record() | change)
    assert _list_failed(comparison) == [(failed, "test")]
    assert not can_promote(comparison, evaluate_gate(comparison))


def test_an_unknown_difference_is_no_harm() -> None:
    unknown = dict.fromkeys(make_gain(), None) | {"seeds_judged": False}
    comparison = make_comparison(test=make_split_record() | {"outside": make_subset(unknown)})
    assert _list_failed(comparison) == []


def test_the_weaker_of_all_seeds_and_the_first_counts() -> None:
    subset = make_subset(make_gain(0.2, 0.05)) | {"first_seed": make_gain(0.1, 0.08)}
    comparison = make_comparison(test=make_split_record() | {"primary": subset})
    value = next(
        item["value"]
        for item in evaluate_gate(comparison)
        if item["condition"] == GateCondition.PLANNED_GAIN
    )
    assert value == pytest.approx(min(0.2 - 0.05, 0.1 - 0.08))


def test_the_best_planned_slice_represents_val() -> None:
    weak = make_subset(make_gain(0.3, 0.4), is_passed=False) | {"slice": "s1", "planned": True}
    strong = make_subset(make_gain(0.1, 0.05)) | {"slice": "s2", "planned": True}
    other = make_subset(make_gain(0.9, 0.01)) | {"slice": "s3", "planned": False}
    val = make_split_record() | {"slices": [weak, strong, other]}
    assert evaluate_gate(make_comparison(val=val))[1]["slice"] == "s2"


def test_the_limits_follow_from_the_record() -> None:
    comparison = make_comparison(seeds=1)
    comparison["costs"] = [{"label": "a", "answer": "b", "cost": 0.1}]
    row = {"question": "slice gain", "slice": "s1", "split": "val"}
    comparison["power"] = [
        row | {"groups": 40, "groups_needed": 90, "enough": False},
        row | {"groups": 40, "groups_needed": 20, "enough": True},
        row | {"groups": 40, "groups_needed": None, "enough": None},
    ]
    limits = list_limits(comparison, "run-7")
    assert [item["limit"] for item in limits] == [
        GateLimit.SINGLE_SEED,
        GateLimit.TOO_FEW_GROUPS,
        GateLimit.NO_GENERIC_ARM,
        GateLimit.WEIGHTED_ERRORS,
        GateLimit.OTHER_CHAMPION,
    ]
    assert limits[1]["groups_needed"] == 90
    assert limits[-1]["run_id"] == "run-7"
    plain = make_comparison(seeds=3)
    assert [item["limit"] for item in list_limits(plain, None)] == [GateLimit.NO_GENERIC_ARM]


@pytest.mark.parametrize(("half_width", "is_limit"), [(0.05, False), (0.2, True)])
def test_generic_augmentation_that_was_not_beaten_is_a_limit(
    half_width: float, is_limit: bool
) -> None:
    subset = make_subset(make_gain(), generic_gain=make_gain(0.1, half_width))
    comparison = make_comparison(test=make_split_record() | {"primary": subset}, seeds=3)
    limits = [item["limit"] for item in list_limits(comparison, None)]
    assert limits == ([GateLimit.GENERIC_NOT_BEATEN] if is_limit else [])
