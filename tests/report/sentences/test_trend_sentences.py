from typing import Any

import pytest

from pipeline.domain.statuses import AssessmentObstacle, TrackReason
from pipeline.report.sentences.trend_sentences import (
    add_trend_texts,
    describe_obstacle,
    describe_trend,
)
from pipeline.statistics.untestable_reasons import UntestableKind, UntestableReason

TOO_FEW = UntestableReason(UntestableKind.TOO_FEW_IMAGES, 20, 30).build_record()
POINT = {"run": "r3", "obstacle": None, "excess": {"value": 0.051, "low": -0.02, "high": 0.123}}
WITH_CHANGE = {
    TrackReason.CONFIRMED_AGAIN,
    TrackReason.RULE_IN_EXCESS,
    TrackReason.SMALLER_NOT_GONE,
}
WITH_EXCESS = {
    TrackReason.RULE_IN_EXCESS,
    TrackReason.NO_EXCESS,
    TrackReason.SMALLER_NOT_GONE,
    TrackReason.UNDECIDED,
}


def _build_record(reason: TrackReason, **fields: Any) -> dict[str, Any]:
    now = dict(POINT)
    if reason == TrackReason.NOT_ASSESSABLE:
        now["obstacle"] = _build_obstacle(AssessmentObstacle.UNTESTABLE)
    record = {"reason": reason, "closed_before": "r1", "now": now, "then": {**POINT, "run": "r2"}}
    change = {"value": 0.04, "low": 0.01, "high": 0.07}
    return {**record, "change": change, "history": [now], **fields}


def _build_obstacle(kind: AssessmentObstacle) -> dict[str, Any]:
    is_test = kind == AssessmentObstacle.UNTESTABLE
    return {
        "kind": kind,
        "name": None if is_test else "door",
        "reason": TOO_FEW if is_test else None,
    }


@pytest.mark.parametrize("reason", TrackReason)
def test_each_reason_is_told_with_its_numbers(reason: TrackReason) -> None:
    text = describe_trend(_build_record(reason))
    assert ("+5.1 points, -2.0 to +12.3" in text) is (reason in WITH_EXCESS)
    assert ("run r2 (+4.0 points, +1.0 to +7.0)" in text) is (reason in WITH_CHANGE)
    assert ("run r1" in text) is (reason == TrackReason.CONFIRMED_AFTER_CLOSING)
    assert ("20 images" in text) is (reason == TrackReason.NOT_ASSESSABLE)


def test_the_direction_of_a_change_is_told() -> None:
    texts = []
    for low, high in ((0.01, 0.07), (-0.07, -0.01), (-0.01, 0.01)):
        change = {"value": (low + high) / 2, "low": low, "high": high}
        texts.append(describe_trend(_build_record(TrackReason.CONFIRMED_AGAIN, change=change)))
    more, fewer, neither = texts
    assert "more" in more
    assert "fewer" in fewer
    assert "points" not in neither
    alone = describe_trend(_build_record(TrackReason.CONFIRMED_AGAIN, change=None, then=None))
    assert "r2" not in alone


@pytest.mark.parametrize("kind", AssessmentObstacle)
def test_each_obstacle_names_what_is_missing(kind: AssessmentObstacle) -> None:
    text = describe_obstacle(_build_obstacle(kind))
    assert ("20 images" if kind == AssessmentObstacle.UNTESTABLE else "door") in text


def test_observations_get_their_reasons_in_words() -> None:
    record = add_trend_texts(_build_record(TrackReason.NOT_ASSESSABLE))
    assert record["why"] == record["now"]["reason"] == record["history"][0]["reason"] != ""
    assert record["then"]["reason"] == ""
