from typing import Any

import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.report.reviewing.slice_reviews import (
    compute_rule_masks,
    describe_slice_review,
    match_slice_reviews,
)

NIGHT = Rule((Condition("hour", "between", (21.0, 5.0)),))


def make_review(rule: Rule, decision: str = "muted") -> dict[str, dict[str, str]]:
    key = rule.format_text()
    return {key: {"key": key, "rule": rule.dump_json(), "decision": decision, "note": ""}}


@pytest.mark.parametrize(
    ("later", "is_matched"),
    [
        (NIGHT, True),
        (Rule((Condition("hour", "between", (21.5, 5.0)),)), True),  # thresholds move a little
        (Rule((Condition("hour", "between", (6.0, 12.0)),)), False),  # another hour
        (Rule((Condition("hour", "between", (21.0, 5.0)),), "visitor"), True),
    ],
)
def test_a_decision_holds_for_mostly_the_same_images(
    made: dict[str, Any], later: Rule, is_matched: bool
) -> None:
    matched = match_slice_reviews(made["validation_set"], {"s9": later}, make_review(NIGHT))
    assert (matched.get("s9", {}).get("decision") == "muted") is is_matched


def test_a_decision_on_the_very_rule_comes_before_one_on_similar_images(
    made: dict[str, Any],
) -> None:
    later = Rule((Condition("hour", "between", (20.0, 5.0)),))
    reviews = make_review(NIGHT) | make_review(later, "accepted")
    assert match_slice_reviews(made["validation_set"], {"s1": later}, reviews)["s1"][
        "decision"
    ] == ("accepted")


@pytest.mark.parametrize(
    "rule", ["", "{", Rule((Condition("no such column", "is", "x"),)).dump_json()]
)
def test_a_decision_without_a_rule_that_applies_here_matches_nothing(
    made: dict[str, Any], rule: str
) -> None:
    reviews = {"hour from # to #": {"key": "hour from # to #", "rule": rule, "decision": "muted"}}
    assert match_slice_reviews(made["validation_set"], {"s1": NIGHT}, reviews) == {}


def test_a_rule_admits_its_class_only(made: dict[str, Any]) -> None:
    val = made["validation_set"]
    of_class = Rule(NIGHT.conditions, val.class_names[0])
    masks = compute_rule_masks(val, {"all": NIGHT, "one": of_class})
    assert 0 < masks["one"].sum() < masks["all"].sum()
    assert (val.frame["label"][masks["one"]] == val.class_names[0]).all()


def test_without_a_decision_both_texts_are_empty() -> None:
    assert describe_slice_review(None) == {"decision": "", "note": ""}
