"""Sentences about the gate: pipeline/report/sentences/gate_sentences.py."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.gate_conditions import can_promote, evaluate_gate, list_caveats
from pipeline.domain.statuses import ComparisonOutcome, GateCondition
from pipeline.report.sentences.comparison_sentences import SubsetNames
from pipeline.report.sentences.gate_sentences import (
    compose_headline,
    describe_caveat,
    describe_condition,
    name_verdict_state,
    split_headline,
)
from tests.helpers.comparisons import (
    make_comparison,
    make_foreseen,
    make_gain,
    make_part,
    make_safety,
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
        "gain": test and test["primary"]["gain"] | {"reference": "before"},
        "foreseen": comparison["foreseen"],
        "conditions": conditions,
        "limits": list_caveats(comparison),
    }


def _describe_all(comparison: dict[str, Any]) -> dict[str, str]:
    texts = [describe_condition(condition) for condition in evaluate_gate(comparison)]
    return {text.name: text.reason for text in texts}


def test_every_condition_has_a_name_a_reason_and_evidence() -> None:
    comparison = make_comparison(champion="missing")
    texts = [describe_condition(condition) for condition in evaluate_gate(comparison)]
    assert len({text.name for text in texts}) == len(texts)
    assert all(text.reason and text.evidence_link.startswith("#") for text in texts)


def test_slices_and_splits_may_have_titles() -> None:
    condition = evaluate_gate(make_comparison())[1]
    assert describe_condition(condition, TITLES).name == "“Too dark” gained on validation"


def test_classes_that_lose_are_named_with_their_slice_and_their_chance() -> None:
    harm = make_safety(harmed=("no_badge",), harmed_in_slice=("badge",))
    texts = _describe_all(make_comparison(test=make_split_record(harm)))
    assert texts["no class worse on test"].startswith("no_badge: 95 to 62 % correct")
    reason = texts["no class within a slice worse on test"]
    assert reason.startswith("badge in s1: 95 to 62 % correct against the model before")
    assert reason.endswith("more than 3 points is 97 %")


def test_a_gain_that_was_not_shown_says_how_many_groups_would_do() -> None:
    subset = make_subset(make_gain(0.05, 0.1), is_passed=False)
    texts = _describe_all(make_comparison(test=make_split_record(primary=subset)))
    assert (
        "about 90 groups would decide it, and 40 are at hand" in texts["the remedy helped on test"]
    )


def test_the_generic_arm_is_described_if_it_was_trained() -> None:
    subset = make_subset(make_gain(), generic_gain=make_gain(0.1, 0.2))
    texts = _describe_all(make_comparison(test=make_split_record(primary=subset)))
    assert texts["generic augmentation is not better on test"] == (
        "the remedy is +10.0 points from generic augmentation (TrivialAugment) of the same budget "
        "on 120 images, between -10.0 points and +30.0 points"
    )


def test_an_unknown_number_is_unknown() -> None:
    unknown = dict.fromkeys(make_gain(), None) | {"seeds_judged": False}
    texts = _describe_all(make_comparison(test=make_split_record(primary=make_subset(unknown))))
    assert texts["the remedy helped on test"].startswith("unknown over the control")


def test_a_sealed_test_has_its_reason() -> None:
    comparison = make_comparison("used up", reason="used up")
    assert _describe_all(comparison)["the sealed test was used"].startswith(
        "this test set has been opened 5"
    )


def test_the_headline_of_a_promotion_has_the_gain_over_the_model_in_force() -> None:
    headline = compose_headline(_make_verdict(make_comparison()))
    assert headline.state == "promoted"
    assert headline.detail.startswith("of 100 sealed test images of the slices with a remedy")
    assert "20.0 more are right than with the model before, at least +10.0" in headline.detail
    assert "one seed" in headline.detail
    gain = make_gain() | {"seeds_judged": True}
    several_seeds = make_comparison(test=make_split_record(primary=make_subset(gain)))
    assert "one seed" not in compose_headline(_make_verdict(several_seeds)).text


def test_the_headline_of_a_refusal_names_who_is_worse_off() -> None:
    one = make_comparison(test=make_split_record(make_safety(harmed=("badge",))))
    text = compose_headline(_make_verdict(one)).text
    assert "20.0 more are right" in text
    assert "but badge went from 95 to 62 % correct" in text
    two = make_comparison(test=make_split_record(make_safety(harmed=("badge",), outside=0.97)))
    text = compose_headline(_make_verdict(two)).text
    assert "all other images went from 95 to 62 % correct, and 1 more part lost" in text


def test_the_headline_of_a_refusal_tells_chance_and_a_loss_overall() -> None:
    subset = make_subset(make_gain(0.05, 0.1), is_passed=False)
    record = make_split_record(make_safety(overall_bound=-0.02), primary=subset)
    text = compose_headline(_make_verdict(make_comparison(test=record))).text
    assert "5.0 more are right than with the model before, but that may be chance" in text
    assert "a loss over all images is not excluded" in text
    missing = make_comparison(champion="missing")
    assert (
        "“the model in force was compared” failed" in compose_headline(_make_verdict(missing)).text
    )


def test_a_promise_leads_with_what_was_shown_and_says_what_would_decide() -> None:
    comparison = make_comparison("promising on val", reason="cannot decide")
    headline = compose_headline(_make_verdict(comparison))
    assert headline.state == "promising on validation"
    assert headline.detail.startswith("72 to 96 % correct on validation")
    assert "the sealed test holds no image of this kind" in headline.detail
    assert headline.detail.endswith("about 24 groups would decide it")
    comparison["foreseen"] = make_foreseen(8, 2)
    assert "8 images of this kind, of 2 groups" in compose_headline(_make_verdict(comparison)).text


@pytest.mark.parametrize(
    "outcome", [outcome for outcome in ComparisonOutcome if outcome != ComparisonOutcome.TESTED]
)
def test_every_other_outcome_has_a_headline(outcome: ComparisonOutcome) -> None:
    comparison = make_comparison(outcome, reason="no slice", planned=0)
    headline = compose_headline(_make_verdict(comparison))
    assert headline.state in ("not promoted", "nothing to promote", "promising on validation")
    assert headline.detail
    assert split_headline(headline.text, outcome, False) == headline


@pytest.mark.parametrize(
    ("outcome", "is_promoted", "state"),
    [
        ("tested", True, "promoted"),
        ("tested", False, "not promoted"),
        ("refused on val", False, "not promoted"),
        ("promising on val", False, "promising on validation"),
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
    limits = list_caveats(comparison)
    assert [describe_caveat(limit) for limit in limits] == [
        "One training: the same training once more may come out differently, and that was not "
        "tried (retrain.seeds).",
        "Not decided on val, gain of s1 alone: about 2,090 groups would decide it, and 1,240 are "
        "at hand.",
        "Generic augmentation was not trained (retrain.generic): "
        "whether it would do as well was not judged.",
        "Errors are weighed by evaluate.costs: gains and margins are in points of the worst error.",
    ]
    text = describe_caveat(limits[1], TITLES)
    assert text.startswith("Not decided on validation, gain of “Too dark” alone: ")
    subset = make_subset(make_gain(), generic_gain=make_gain(0.1, 0.2))
    generic = list_caveats(make_comparison(test=make_split_record(primary=subset)))[-1]
    assert describe_caveat(generic) == (
        "On test the remedy was not shown to be better than generic augmentation of the same "
        "budget: +10.0 points, but it may as well be -10.0 points, a loss."
    )


@pytest.mark.parametrize("failed", [{GateCondition.NO_CLASS_WORSE}, {GateCondition.SLICE_GAIN}])
def test_a_headline_tells_harm_from_a_missing_gain(failed: set[GateCondition]) -> None:
    conditions = [
        {
            "condition": item,
            "passed": item not in failed,
            "split": "val",
            "facts": {"harmed": [{"reference_arm": "before", **make_part(0.9, None, "badge")}]},
        }
        for item in (GateCondition.SLICE_GAIN, GateCondition.NO_CLASS_WORSE)
    ]
    verdict = {
        "promoted": False,
        "outcome": ComparisonOutcome.REFUSED_ON_VAL,
        "conditions": conditions,
    }
    is_harm = GateCondition.NO_CLASS_WORSE in failed
    assert ("badge went from 95 to 62 %" in compose_headline(verdict).text) == is_harm
