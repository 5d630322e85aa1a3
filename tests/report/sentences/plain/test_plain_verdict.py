"""The verdict in one plain sentence: pipeline/report/sentences/plain/plain_verdict.py."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.statuses import ComparisonOutcome, GateCondition
from pipeline.report.sentences.plain.plain_verdict import (
    VerdictFacts,
    compose_plain_verdict,
    find_gained_part,
    list_harmed_parts,
)

MAX_WORDS = 45  # of a sentence on the first screen


def make_row(kind: str, before: int, after: int, status: str = "not worse", **part: Any) -> Any:
    row = {"kind": kind, "slice": None, "class": None, "status": status}
    return row | part | {"before": before, "after": after, "change": after - before}


GAINED = make_row("slice class", 540, 820, slice="s1", **{"class": "no_badge"})
PAYING = make_row("slice class", 950, 590, "harmed", slice="s1", **{"class": "badge"})
WHOLE = make_row("slice", 600, 700, slice="s1")


def make_facts(changes: list[Any], **values: Any) -> VerdictFacts:
    facts: dict[str, Any] = {
        "outcome": ComparisonOutcome.TESTED,
        "is_promoted": False,
        "changes": changes,
        "places": {"s1": "at night (too dark)", "s2": "where images are blurred"},
        "planned": ["s1", "s2"],
        "failed_conditions": frozenset(),
        "foreseen": None,
        "image_count": 200,
        "error_count": 31,
        "overall": (0.85, 0.91),
        "slice_errors": {"s1": (0.51, 0.05), "s2": (0.3, 0.1)},
        "confusion": ("no_badge", "badge", 22),
    }
    return VerdictFacts(**facts | values)


def test_a_promotion_names_class_counts_and_that_nobody_pays() -> None:
    verdict = compose_plain_verdict(make_facts([WHOLE, GAINED], is_promoted=True))
    assert verdict.answer == "Safe to switch"
    for text in ("at night (too dark)", "82 of 100", "no_badge", "54", "nobody else"):
        assert text in verdict.text
    linked = {part.text: part.link for part in verdict.parts if part.link}
    assert linked == {"82 of 100": "#slice-s1"}
    assert [part.text for part in verdict.parts if part.is_name] == ["no_badge"]


def test_a_promotion_does_not_hide_the_largest_loss() -> None:
    small = make_row("class", 930, 910, "uncertain", **{"class": "badge"})
    verdict = compose_plain_verdict(make_facts([small, GAINED], is_promoted=True))
    assert "2 of 100" in verdict.text
    assert "nobody else is worse" not in verdict.text


def test_who_pays_within_the_slice_is_in_the_refusal() -> None:
    facts = make_facts([make_row("others", 960, 900, "harmed"), WHOLE, PAYING, GAINED])
    verdict = compose_plain_verdict(facts)
    assert verdict.answer == "Do not switch"
    assert "59 of 100 badge" in verdict.text
    assert "before it was 95" in verdict.text
    assert list_harmed_parts(facts)[0] is PAYING, "the worst slice comes first"
    assert find_gained_part(facts) is GAINED


def test_a_slice_that_did_not_improve_is_named() -> None:
    other = make_row("slice", 700, 690, "uncertain", slice="s2")
    verdict = compose_plain_verdict(make_facts([WHOLE, GAINED, PAYING, other]))
    assert "where images are blurred nothing improved" in verdict.text


@pytest.mark.parametrize(
    ("failed", "text"),
    [
        (GateCondition.PLANNED_GAIN, "not shown to help"),
        (GateCondition.CHAMPION_COMPARED, "the model in force could not be compared"),
        (GateCondition.GENERIC_NOT_BETTER, "ordinary augmentation"),
        (GateCondition.OVERALL_NOT_WORSE, "over all images it is 91 of 100, before it was 85"),
        (GateCondition.NO_HARM_OUTSIDE, "not shown that nobody else"),
    ],
)
def test_each_failed_condition_has_its_reason(failed: GateCondition, text: str) -> None:
    verdict = compose_plain_verdict(make_facts([GAINED], failed_conditions=frozenset({failed})))
    assert verdict.answer == "Do not switch"
    assert text in verdict.text


def test_an_undecided_run_says_how_many_groups_the_test_lacks() -> None:
    foreseen = {"groups": 42, "groups_needed": 46}
    outcome = ComparisonOutcome.PROMISING_ON_VAL
    verdict = compose_plain_verdict(make_facts([GAINED], outcome=outcome, foreseen=foreseen))
    assert verdict.answer == "Not decided yet"
    assert "42" in verdict.text
    assert "46" in verdict.text
    assert "#collection_plan" in {part.link for part in verdict.parts}


@pytest.mark.parametrize("outcome", list(ComparisonOutcome))
@pytest.mark.parametrize("changes", [[], [WHOLE, GAINED, PAYING]])
def test_every_outcome_is_one_short_sentence(outcome: str, changes: list[Any]) -> None:
    places: dict[str, str] = {"s1": "at night (too dark)"} if changes else {}
    facts = make_facts(changes, outcome=outcome, places=places, planned=list(places))
    verdict = compose_plain_verdict(facts)
    assert verdict.parts
    assert len(verdict.text.split()) <= MAX_WORDS
    for term in ("interval", "control", "null", "None", "slice", "seed"):
        assert term not in verdict.text
    assert verdict.capitalized_parts[0].text[0] == verdict.parts[0].text[0].upper()


@pytest.mark.parametrize(("is_promoted", "text"), [(True, "confirm it"), (False, "do not decide")])
def test_images_that_arrived_since_are_told_where_no_test_decided(
    is_promoted: bool, text: str
) -> None:
    facts = make_facts(
        [GAINED],
        outcome=ComparisonOutcome.PROMISING_ON_VAL,
        is_promoted=is_promoted,
        foreseen={"groups": 0, "groups_needed": 24},
        arrived_groups=412,
    )
    verdict = compose_plain_verdict(facts)
    assert f"412 groups of images that arrived since {text}" in verdict.text
    tested = make_facts([GAINED], is_promoted=True, arrived_groups=412)
    assert "412" not in compose_plain_verdict(tested).text


def test_a_loss_of_another_class_does_not_name_the_class_of_the_slice() -> None:
    facts = make_facts(
        [], places={"s1": "at night, class no_badge"}, class_free_places={"s1": "at night"}
    )
    assert facts.name_place({"slice": "s1", "class": "badge"}) == "at night"
    assert facts.name_place({"slice": "s1", "class": None}) == "at night, class no_badge"
    assert facts.name_place({"slice": "s9", "class": "badge"}) == "elsewhere"
