"""Conditions of the gate and limits of its verdict: pipeline/domain/gate_conditions.py."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.gate_conditions import can_promote, evaluate_gate, list_caveats
from pipeline.domain.statuses import ChampionStatus, GateCondition, OpeningReason, VerdictCaveat
from tests.helpers.comparisons import (
    make_comparison,
    make_gain,
    make_safety,
    make_split_record,
    make_subset,
)

ORDER = [
    ("planned slice", None),
    ("slice gain", "val"),
    ("overall not worse", "val"),
    ("no class worse", "val"),
    ("no slice worse", "val"),
    ("no harm outside", "val"),
    ("test opened", None),
    ("planned gain", "test"),
    ("gain in force", "test"),
    ("overall not worse", "test"),
    ("no class worse", "test"),
    ("no slice worse", "test"),
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
        ({"primary": make_subset(make_gain(), control=make_gain(0.05, 0.1))}, "planned gain"),
        ({"primary": make_subset(make_gain(), before=make_gain(0.05, 0.1))}, "gain in force"),
        (
            {"primary": make_subset(make_gain(), before=make_gain() | {"shipped": -0.01})},
            "gain in force",
        ),
        ({"safety": make_safety(outside=0.9)}, "no harm outside"),
        ({"safety": make_safety(overall_bound=-0.02)}, "overall not worse"),
        ({"safety": make_safety(harmed=("badge",))}, "no class worse"),
        ({"safety": make_safety(harmed_in_slice=("badge",))}, "no slice worse"),
        (
            {"primary": make_subset(make_gain(), generic_gain=make_gain(-0.1, 0.05))},
            "generic not better",
        ),
    ],
)
def test_one_failure_on_test_refuses_the_candidate(change: dict[str, Any], failed: str) -> None:
    comparison = make_comparison(test=make_split_record(**change))
    assert _list_failed(comparison) == [(failed, "test")]
    assert not can_promote(comparison, evaluate_gate(comparison))


def test_a_loss_overall_is_excluded_against_the_model_in_force_and_not_seen_elsewhere() -> None:
    record = make_split_record()
    record["safety"]["control"] = make_safety(overall_bound=-0.02)
    assert _list_failed(make_comparison(test=record)) == []
    record["safety"]["control"]["overall"]["mean"] = -0.02
    assert _list_failed(make_comparison(test=record)) == [("overall not worse", "test")]


def test_harm_against_any_reference_counts() -> None:
    record = make_split_record()
    record["safety"]["control"] = make_safety(harmed=("no_badge",))
    comparison = make_comparison(test=record)
    assert _list_failed(comparison) == [("no class worse", "test")]
    condition = next(item for item in evaluate_gate(comparison) if not item["passed"])
    assert [part["reference_arm"] for part in condition["facts"]["harmed"]] == ["control"]


def test_a_candidate_must_beat_the_champion_where_it_was_compared() -> None:
    weaker = make_gain(-0.02, 0.03)
    record = make_split_record(primary=make_subset(make_gain(), champion=weaker))
    comparison = make_comparison(test=record, champion=ChampionStatus.COMPARED)
    for split in ("val", "test"):
        for subset in comparison[split]["slices"]:
            subset["over"] = subset["over"] | {"champion": make_gain()}
    assert _list_failed(comparison) == [("gain in force", "test")]


@pytest.mark.parametrize("status", ["other classes", "other size", "missing", "replaced"])
def test_a_champion_that_cannot_be_compared_is_replaced_by_setting_only(status: str) -> None:
    comparison = make_comparison(champion=status)
    assert _list_failed(comparison) == [("champion compared", None)]
    accepted = evaluate_gate(comparison, is_unjudged_champion_accepted=True)
    assert can_promote(comparison, accepted)
    expected = {"limit": VerdictCaveat.UNJUDGED_CHAMPION, "status": status, "run_id": "run-7"}
    assert list_caveats(comparison)[0] == expected


def test_validation_is_a_screen_on_which_no_loss_may_show() -> None:
    wide = make_safety(overall_bound=-0.3)
    assert _list_failed(make_comparison(val=make_split_record(wide))) == []
    lost = make_safety()
    lost["overall"] = make_gain(-0.02, 0.05)
    assert _list_failed(make_comparison(val=make_split_record(lost))) == [
        ("overall not worse", "val")
    ]


def test_the_best_planned_slice_represents_val() -> None:
    weak = make_subset(make_gain(0.3, 0.4), is_passed=False) | {"slice": "s1", "planned": True}
    strong = make_subset(make_gain(0.1, 0.05)) | {"slice": "s2", "planned": True}
    other = make_subset(make_gain(0.9, 0.01)) | {"slice": "s3", "planned": False}
    val = make_split_record(slices=[weak, strong, other], gained=["s2"])
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
    limits = list_caveats(comparison)
    assert [item["limit"] for item in limits] == [
        VerdictCaveat.SINGLE_SEED,
        VerdictCaveat.TOO_FEW_GROUPS,
        VerdictCaveat.NO_GENERIC_ARM,
        VerdictCaveat.WEIGHTED_ERRORS,
    ]
    assert limits[1]["groups_needed"] == 90
    plain = make_comparison(seeds=3)
    assert [item["limit"] for item in list_caveats(plain)] == [VerdictCaveat.NO_GENERIC_ARM]


@pytest.mark.parametrize(("half_width", "is_limit"), [(0.05, False), (0.2, True)])
def test_generic_augmentation_that_was_not_beaten_is_a_limit(
    half_width: float, is_limit: bool
) -> None:
    subset = make_subset(make_gain(), generic_gain=make_gain(0.1, half_width))
    comparison = make_comparison(test=make_split_record(primary=subset), seeds=3)
    limits = [item["limit"] for item in list_caveats(comparison)]
    assert limits == ([VerdictCaveat.GENERIC_NOT_BEATEN] if is_limit else [])


def _make_arrivals(**changes: Any) -> dict[str, Any]:
    part = {"class": "badge", "is_inside": True, "groups": 9, "change": 0.0}
    record = {
        "groups": 900,
        "inside_groups": 300,
        "labels": 450,
        "gain": 0.08,
        "evidence_gain": 57.0,
        "evidence_safe": 80.0,
        "needed": 40.0,
        "parts": [part | {"loss_probability": 0.1}],
        "harmed": [],
        "max_loss_probability": 0.25,
    }
    return record | changes


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({}, None),
        ({"evidence_gain": 39.0}, GateCondition.ARRIVALS_GAIN),
        ({"evidence_safe": 3.0}, GateCondition.ARRIVALS_NOT_WORSE),
        ({"harmed": [{"class": "badge"}]}, GateCondition.ARRIVALS_NO_HARM),
    ],
)
def test_arrived_groups_decide_what_the_test_cannot(
    changes: dict[str, Any], failed: GateCondition | None
) -> None:
    comparison = make_comparison("promising on val", reason=OpeningReason.CANNOT_DECIDE)
    conditions = evaluate_gate(comparison, arrivals=_make_arrivals(**changes))
    found = [item["condition"] for item in conditions if not item["passed"]]
    assert found == ([failed] if failed else [])
    assert can_promote(comparison, conditions) is (failed is None)


def test_arrived_groups_overrule_neither_validation_nor_an_opened_test() -> None:
    refused = make_comparison("refused on val", reason=OpeningReason.NO_GAIN_ON_VAL)
    assert not can_promote(refused, evaluate_gate(refused, arrivals=_make_arrivals()))
    harm = make_split_record(make_safety(harmed=("badge",)))
    tested = make_comparison(test=harm)
    assert not can_promote(tested, evaluate_gate(tested, arrivals=_make_arrivals()))
