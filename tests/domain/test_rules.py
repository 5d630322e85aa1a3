import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.domain.rules import Condition, Rule

FRAME = pd.DataFrame(
    {
        "image_id": list("abcd"),
        "label": ["x", "x", "y", "y"],
        "group": list("1122"),
        "luminance": [10.0, 50.0, np.nan, 90.0],
        "hour": [23.0, 2.0, 12.0, 5.0],
        "camera": ["n", "s", "n", None],
    }
)
NIGHT = Condition("hour", "between", (21.0, 5.0))


@pytest.mark.parametrize(
    ("condition", "admitted"),
    [
        (Condition("luminance", "<=", 50.0), "ab"),
        (Condition("luminance", ">=", 50.0), "bd"),
        (NIGHT, "ab"),
        (Condition("hour", "between", (2.0, 12.0)), "bd"),
        (Condition("camera", "is", "n"), "ac"),
    ],
)
def test_a_condition_admits_known_values_only(condition: Condition, admitted: str) -> None:
    assert "".join(FRAME["image_id"][condition.compute_mask(FRAME, {})]) == admitted


def test_the_label_part_is_kept_apart_from_the_image_part() -> None:
    rule = Rule((Condition("luminance", "<=", 95.0),), label="x")
    assert rule.compute_image_mask(FRAME).tolist() == [True, True, False, True]
    assert rule.compute_mask(FRAME).tolist() == [True, True, False, False]
    assert rule.compute_image_mask(FRAME.drop(columns="label")).sum() == 3


def test_all_conditions_must_be_met_and_none_admits_every_image() -> None:
    both = Rule((NIGHT, Condition("camera", "is", "n")))
    assert both.compute_mask(FRAME).tolist() == [True, False, False, False]
    assert Rule(()).compute_mask(FRAME).all()


def test_a_rule_survives_json() -> None:
    rule = Rule((NIGHT, Condition("camera", "is", "nörth")), label="x", source="class")
    parsed = Rule.parse_json(rule.dump_json())
    assert parsed.compute_mask(FRAME).tolist() == rule.compute_mask(FRAME).tolist()
    assert (parsed.source, parsed.key) == ("class", rule.key)
    assert parsed.format_text() == "hour from 21 to 5 and camera is nörth, class x"
    assert parsed.dump_json() == rule.dump_json()


def test_a_record_of_an_older_version_is_read() -> None:
    record = json.loads(Rule((Condition("luminance", "<=", 10.0),), "x").dump_json())
    record["numbers"] = "hour > 21: 90 % of its images"
    assert Rule.parse_json(json.dumps(record)).format_text() == "luminance <= 10, class x"


def test_equality_ignores_the_source() -> None:
    dark = Condition("luminance", "<=", 10.0)
    assert Rule((dark,), source="repair") == Rule((dark,), source="class")
    assert Rule((dark,)) != Rule((dark,), "x")


def test_values_are_shown_as_the_attribute_shows_them() -> None:
    assert Condition("day", "<=", 19723.5).format_text() == "day <= 2024-01-01 12:00"
    assert Condition("luminance", ">=", 52.63218).format_text() == "luminance >= 52.63"


def test_the_key_ignores_thresholds_and_the_order_of_conditions() -> None:
    dark, darker = Condition("luminance", "<=", 20.0), Condition("luminance", "<=", 10.0)
    assert Rule((dark, NIGHT)).key == Rule((NIGHT, darker)).key
    assert Rule((dark,)).key != Rule((Condition("luminance", ">=", 20.0),)).key
    assert Rule((dark,)).key != Rule((dark,), "x").key


def test_near_needs_a_distance_and_admits_nothing_without_one() -> None:
    rule = Rule((Condition("a", "near", 0.3),))
    distances = np.array([0.0, 0.3, 0.31, np.nan], np.float32)
    assert rule.compute_mask(FRAME, {"a": distances}).tolist() == [True, True, False, False]
    assert not rule.compute_mask(FRAME, {"b": distances}).any()
    assert not rule.compute_mask(FRAME).any()
    assert rule.has_similarity_condition
    assert not Rule((NIGHT,)).has_similarity_condition


def test_only_a_whole_class_without_its_mark_is_an_unmarked_class() -> None:
    without_mark = Condition("mark of X", "is", "False")
    with_mark = Condition("mark of X", "is", "True")
    assert Rule((without_mark,), "X").is_unmarked_class
    assert not Rule((with_mark,), "X").is_unmarked_class
    assert not Rule((without_mark,), "Y").is_unmarked_class
    assert not Rule((without_mark,)).is_unmarked_class
    assert not Rule((without_mark, Condition("luminance", "<=", 9.0)), "X").is_unmarked_class


def test_marks_are_described_in_words() -> None:
    assert Condition("mark of X", "is", "False").format_text() == "without the mark of X"
    assert Condition("mark of X", "is", "True").format_text() == "with the mark of X"
    user_column = Condition("mark of care", "<=", 3.0)
    assert user_column.format_text() == "mark of care <= 3"


@pytest.mark.parametrize(
    ("op", "value", "distance"), [("<=", 5.0, 2.0), (">=", 5.0, 2.0), ("between", [22.0, 4.0], 1.0)]
)
def test_one_number_is_tested_as_a_column_is(op: str, value: Any, distance: float) -> None:
    condition = Condition("hour", op, value)
    hours = [1.0, 3.0, 4.0, 5.0, 22.0, 23.0, float("nan")]
    column = condition.compute_mask(pd.DataFrame({"hour": hours}), {})
    assert [condition.is_met_by(hour) for hour in hours] == column.tolist()
    assert condition.measure_limit_distance(3.0) == distance
