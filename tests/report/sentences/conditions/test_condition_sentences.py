"""Numbers of a condition: pipeline/report/sentences/conditions/condition_sentences.py."""

from __future__ import annotations

import pytest

from pipeline.domain.statuses import ChampionStatus, GateCondition
from pipeline.report.sentences.comparison_sentences import PLAIN_NAMES
from pipeline.report.sentences.conditions.condition_sentences import (
    CHAMPION_REASONS,
    CONDITION_FACTS,
    format_gain,
    format_probability,
    name_part,
)
from tests.helpers.comparisons import make_part


def test_every_condition_and_status_has_words() -> None:
    assert set(CONDITION_FACTS) == set(GateCondition)
    assert set(CHAMPION_REASONS) == set(ChampionStatus)


def test_parts_are_named_by_class_and_slice() -> None:
    assert name_part(make_part()) == "all other images"
    assert name_part(make_part(class_name="badge")) == "badge"
    assert name_part(make_part(slice_name="s1")) == "s1"
    assert name_part(make_part(slice_name="s1", class_name="badge")) == "badge in s1"


@pytest.mark.parametrize(("probability", "text"), [(0.0, "under 1 %"), (1.0, "over 99 %")])
def test_no_probability_is_certain(probability: float, text: str) -> None:
    assert format_probability(probability) == text


def test_a_setting_is_named_where_the_champion_cannot_be_compared() -> None:
    describe, _ = CONDITION_FACTS[GateCondition.CHAMPION_COMPARED]
    facts = {"status": "other classes", "run_id": "r7", "is_accepted": False}
    assert "promote.replace_unjudged" in describe(facts, PLAIN_NAMES)
    assert "other classes" in describe(facts, PLAIN_NAMES)
    assert format_gain(None) == "unknown"
