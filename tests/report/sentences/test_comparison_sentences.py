"""Sentences about the comparison: pipeline/report/sentences/comparison_sentences.py."""

from __future__ import annotations

import pytest

from pipeline.domain.statuses import OpeningReason, PowerQuestion
from pipeline.report.sentences.comparison_sentences import (
    SubsetNames,
    describe_opening_reason,
    describe_power_question,
    describe_required_groups,
)

TITLES = SubsetNames({"s1": "Too dark"}, {"val": "validation"})


def test_names_are_replaced_by_titles_if_there_are_any() -> None:
    assert TITLES.name_slice("s1") == "“Too dark”"
    assert TITLES.name_slice("s12") == "s12"
    assert (TITLES.name_split("val"), TITLES.name_split("test")) == ("validation", "test")


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (PowerQuestion.OVERALL_NOT_WORSE, "overall not worse"),
        (PowerQuestion.PLANNED_GAIN, "gain of the planned slices"),
        (PowerQuestion.SLICE_GAIN, "gain of “Too dark”"),
    ],
)
def test_a_test_is_named_by_its_question(question: PowerQuestion, text: str) -> None:
    assert describe_power_question({"question": question, "slice": "s1"}, TITLES) == text


def test_every_reason_has_words() -> None:
    texts = [describe_opening_reason(reason) for reason in OpeningReason]
    assert all(texts)
    assert len(set(texts)) == len(texts)


def test_a_few_groups_are_a_plan_even_where_none_is_at_hand() -> None:
    assert describe_required_groups(0, 24) == "about 24 groups would decide it"
    assert "too small to decide" in describe_required_groups(0, 4909)
    assert "4,909" in describe_required_groups(20, 4909)
    assert "more images would not decide" in describe_required_groups(20, None)
