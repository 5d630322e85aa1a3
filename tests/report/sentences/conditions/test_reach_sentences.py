"""Reach of the test in words: pipeline/report/sentences/conditions/reach_sentences.py."""

from __future__ import annotations

from pipeline.data.quality.reach_forecast import ReachForecast
from pipeline.report.sentences.conditions.reach_sentences import (
    LISTED_KINDS,
    build_reach_rows,
    describe_reach_forecasts,
    describe_test_reach,
)


def _make_kind(value: str, groups: int, detectable: float | None) -> ReachForecast:
    return ReachForecast("camera", value, 4 * groups, groups, 100, detectable)


def test_kinds_that_the_test_cannot_judge_come_first() -> None:
    kinds = [_make_kind("a", 60, 0.2), _make_kind("b", 3, None), _make_kind("c", 0, None)]
    missing, few, judged = describe_reach_forecasts(kinds)
    assert "no image of camera = c" in missing
    assert "camera = b (3 groups)" in few
    assert "from 20 points (camera = a, 60 groups)" in judged


def test_many_missing_kinds_are_counted() -> None:
    kinds = [_make_kind(str(k), 0, None) for k in range(LISTED_KINDS + 7)]
    (line,) = describe_reach_forecasts(kinds)
    assert "and 7 more kinds" in line


def test_the_reach_of_a_slice_depends_on_its_groups() -> None:
    assert "no image of s1" in describe_test_reach("s1", 0, 0, None)
    assert "too few" in describe_test_reach("s1", 8, 3, None)
    assert "about 22 points" in describe_test_reach("s1", 200, 50, 0.22)


def test_planned_slices_stand_above_kinds() -> None:
    planned = [{"slice": "s1", "images": 8, "groups": 3, "detectable": None}]
    rows = build_reach_rows([_make_kind("a", 60, 0.2)], planned)
    assert [row["name"] for row in rows] == ["s1", "camera = a"]
    assert [row["groups"] for row in rows] == [3, 60]
