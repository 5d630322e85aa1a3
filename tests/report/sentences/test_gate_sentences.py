"""Sentences about the gate: pipeline/report/sentences/gate_sentences.py."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.gate_conditions import can_promote, evaluate_gate, list_limits
from pipeline.domain.statuses import ComparisonOutcome
from pipeline.report.sentences.comparison_sentences import SubsetNames
from pipeline.report.sentences.gate_sentences import (
    compose_headline,
    describe_condition,
    describe_limit,
    name_verdict_state,
    split_headline,
)
from tests.helpers.comparisons import (
    make_comparison,
    make_gain,
    make_non_inferiority,
    make_split_record,
    make_subset,
)

TITLES = SubsetNames({"s1": "Too dark"}, {"val": "validation"})


def _make_verdict(comparison: dict[str, Any]) -> dict[str, Any]:
    conditions = evaluate_gate(comparison)
    test = comparison["test"]
    return {
        "promoted": can_promote(comparison, conditions),
        "outcome": comparison["outcome"],
        "gain": test and test["primary"]["gain"],
        "conditions": conditions,
        "limits": list_limits(comparison, None),
    }


def _describe_all(comparison: dict[str, Any]) -> dict[str, str]:
    texts = [describe_condition(condition) for condition in evaluate_gate(comparison)]
    return {text.name: text.reason for text in texts}


def test_every_condition_has_a_name_a_reason_and_evidence() -> None:
    texts = [describe_condition(condition) for condition in evaluate_gate(make_comparison())]
    assert [(text.name, text.evidence_link) for text in texts] == [
        ("a slice with a remedy", "#failure_slices"),
        ("s1 gained on val", "#failure_slices"),
        ("not worse overall on val", "#accuracy_change"),
        ("no class worse on val", "#per_class_metrics"),
        ("no harm shown to others on val", "#accuracy_change"),
        ("test opened", "#run_details"),
        ("the slices with a remedy gained on test", "#accuracy_change"),
        ("not worse overall on test", "#accuracy_change"),
        ("no class worse on test", "#per_class_metrics"),
        ("no harm shown to others on test", "#accuracy_change"),
    ]
    assert [text.reason for text in texts[:6]] == [
        "1 of 3 proposed groups were confirmed, 1 with a remedy for training",
        "+20.0 points over the control on 120 images of 40 groups, at least +10.0 points",
        "+5.0 points overall, at least +1.0 points; -1.0 points is allowed",
        "harm was shown for no class",
        "+0.0 points on the 120 other images, between -2.0 points and +2.0 points",
        "opened for the first time by any run; it may spend alpha = 0.025",
    ]


def test_slices_and_splits_may_have_titles() -> None:
    condition = evaluate_gate(make_comparison())[1]
    assert describe_condition(condition, TITLES).name == "“Too dark” gained on validation"


def test_harmed_and_small_classes_are_listed() -> None:
    harm = make_non_inferiority(harmed=["badge", "no_badge"], pooled_bound=-0.05)
    texts = _describe_all(make_comparison(test=make_split_record(non_inferiority=harm)))
    assert texts["no class worse on test"] == (
        "harm was shown for badge, no_badge; 1 of 3 cannot be judged alone; "
        "the small classes together changed by at least -5.0 points; -3.0 points is allowed"
    )


def test_a_gain_that_was_not_shown_says_how_many_groups_would_do() -> None:
    subset = make_subset(make_gain(0.05, 0.1), is_passed=False)
    texts = _describe_all(make_comparison(test=make_split_record(primary=subset)))
    reason = texts["the slices with a remedy gained on test"]
    assert reason.endswith("at least -5.0 points; about 90 groups would decide it")


def test_the_generic_arm_is_described_if_it_was_trained() -> None:
    subset = make_subset(make_gain(), generic_gain=make_gain(0.1, 0.2))
    texts = _describe_all(make_comparison(test=make_split_record(primary=subset)))
    assert texts["generic augmentation is not better on test"] == (
        "+10.0 points over TrivialAugment of the same budget on 120 images, "
        "between -10.0 points and +30.0 points"
    )


def test_an_unknown_number_is_unknown() -> None:
    unknown = dict.fromkeys(make_gain(), None) | {"seeds_judged": False}
    texts = _describe_all(make_comparison(test=make_split_record(outside=make_subset(unknown))))
    reason = texts["no harm shown to others on test"]
    assert reason == "unknown on the 120 other images, between unknown and unknown"


def test_a_sealed_test_has_its_reason() -> None:
    comparison = make_comparison("used up", reason="used up")
    assert _describe_all(comparison)["test opened"].startswith("this test set has been opened 5")


def test_the_headline_of_a_promotion_has_the_gain() -> None:
    headline = compose_headline(_make_verdict(make_comparison()))
    assert headline.state == "promoted"
    assert headline.text == (
        "promoted: +20.0 points over the control on the sealed test's images of the slices with a "
        "remedy, at least +10.0 points; seeds were not judged (one seed)"
    )
    gain = make_gain() | {"seeds_judged": True}
    several_seeds = make_comparison(test=make_split_record(primary=make_subset(gain)))
    assert "seeds were" not in compose_headline(_make_verdict(several_seeds)).text


def test_the_headline_of_a_refusal_lists_the_failed_conditions() -> None:
    harm = make_non_inferiority(harmed=["badge"])
    one = make_comparison(test=make_split_record(non_inferiority=harm))
    text = compose_headline(_make_verdict(one)).text
    assert text.startswith("not promoted: +20.0 points over the control")
    assert "but this condition failed: “no class worse on test”" in text
    two = make_comparison(
        test=make_split_record(non_inferiority=harm, outside=make_subset(make_gain(-0.1, 0.05)))
    )
    text = compose_headline(_make_verdict(two)).text
    listed = "“no class worse on test”, “no harm shown to others on test”"
    assert f"but these conditions failed: {listed}" in text


@pytest.mark.parametrize(
    "outcome", [outcome for outcome in ComparisonOutcome if outcome != ComparisonOutcome.TESTED]
)
def test_every_other_outcome_has_a_headline(outcome: ComparisonOutcome) -> None:
    comparison = make_comparison(outcome, reason="no slice", planned=0)
    headline = compose_headline(_make_verdict(comparison))
    assert headline.state in ("not promoted", "nothing to promote")
    assert headline.detail
    assert split_headline(headline.text, outcome, False) == headline


@pytest.mark.parametrize(
    ("outcome", "is_promoted", "state"),
    [
        ("tested", True, "promoted"),
        ("tested", False, "not promoted"),
        ("refused on val", False, "not promoted"),
        ("no slice", False, "nothing to promote"),
        (None, False, "not promoted"),
    ],
)
def test_the_state_follows_from_outcome_and_promotion(
    outcome: str | None, is_promoted: bool, state: str
) -> None:
    assert name_verdict_state(outcome, is_promoted) == state


def test_limits_are_sentences() -> None:
    comparison = make_comparison()
    comparison["costs"] = [{"label": "a", "answer": "b", "cost": 0.1}]
    comparison["power"] = [
        {
            "question": "slice gain",
            "slice": "s1",
            "split": "val",
            "groups": 1240,
            "groups_needed": 2090,
            "enough": False,
        }
    ]
    limits = list_limits(comparison, "run-7")
    assert [describe_limit(limit) for limit in limits] == [
        "One seed: another run of the same training might differ; seeds were not judged.",
        "Gain of s1 on val: 1,240 groups are at hand; about 2,090 would decide it.",
        "Generic augmentation was not trained (retrain.generic): "
        "whether it would do as well was not judged.",
        "Errors are weighed by evaluate.costs: gains and margins are in points of the worst error.",
        "The candidate was compared with its own control, not with the champion of run run-7.",
    ]
    assert describe_limit(limits[1], TITLES).startswith("Gain of “Too dark” on validation: ")
    subset = make_subset(make_gain(), generic_gain=make_gain(0.1, 0.2))
    generic = list_limits(make_comparison(test=make_split_record(primary=subset)), None)[-1]
    assert describe_limit(generic) == (
        "On test the remedy was not shown to be better than generic augmentation of the same "
        "budget: +10.0 points, at least -10.0 points."
    )
