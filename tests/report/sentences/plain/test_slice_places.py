"""Where a slice is: pipeline/report/sentences/plain/slice_places.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.domain.slice_setting import SettingFact, dump_setting
from pipeline.report.sentences.plain.slice_places import describe_place, name_period

DARK = Rule((Condition("luminance", "<=", 60.0),))


def make_row(rule: Rule = DARK, *facts: SettingFact, cause: str = "") -> dict[str, Any]:
    causes = [{"remedy": cause, "strength": 0.2}] if cause else []
    return {
        "frozen": rule.dump_json(),
        "setting": dump_setting(list(facts)),
        "named_causes": json.dumps(causes),
    }


def test_time_and_camera_come_before_the_look() -> None:
    facts = [SettingFact("hour", 21, 5), SettingFact("camera", value="north")]
    assert describe_place(make_row(DARK, *facts, cause="exposure")) == (
        "at night, on camera north (too dark)"
    )


def test_without_a_setting_the_look_stands_alone() -> None:
    assert describe_place(make_row(cause="exposure")) == "where images are too dark"
    assert describe_place(make_row()) == "where images are dark"


def test_a_rule_of_metadata_and_class_is_spoken() -> None:
    rule = Rule((Condition("camera", "is", "cam3"),), label="badge")
    assert describe_place(make_row(rule)) == "where images have camera cam3, class badge"
    near = Rule((Condition("a1", "near", 0.2),))
    assert "look alike" in describe_place(make_row(near))


@pytest.mark.parametrize(("start", "end"), [(20, 5), (23, 24), (0, 7)])
def test_the_night_passes_midnight(start: int, end: int) -> None:
    assert name_period(start, end) == "at night"


def test_a_long_value_is_cut_off() -> None:
    place = describe_place(make_row(DARK, SettingFact("site", value="n" * 300)))
    assert place.startswith("with site nnn")
    assert len(place) < 80
