from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.domain import rules
from pipeline.domain.rules import Condition, Rule, build_condition_frame, measure_cosine_distances

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


@pytest.mark.parametrize(
    ("condition", "inside"),
    [
        (Condition("luminance", "<=", 50.0), "ab"),
        (Condition("luminance", ">=", 50.0), "bd"),
        (Condition("hour", "between", (21.0, 5.0)), "ab"),
        (Condition("hour", "between", (2.0, 12.0)), "bd"),
        (Condition("camera", "is", "n"), "ac"),
    ],
)
def test_a_condition_admits_what_it_says_and_never_the_unknown(
    condition: Condition, inside: str
) -> None:
    assert "".join(FRAME["image_id"][condition.compute_mask(FRAME, {})]) == inside


def test_the_label_part_stands_apart_from_the_image_part() -> None:
    rule = Rule((Condition("luminance", "<=", 95.0),), label="x")
    assert rule.compute_image_mask(FRAME).tolist() == [True, True, False, True]
    assert rule.compute_mask(FRAME).tolist() == [True, True, False, False]


def test_a_rule_survives_json_and_means_the_same() -> None:
    rule = Rule(
        (Condition("hour", "between", (21.0, 5.0)), Condition("camera", "is", "n")),
        label="x",
        source="class",
    )
    again = Rule.parse_json(rule.dump_json())
    assert (
        again.compute_mask(FRAME).tolist()
        == rule.compute_mask(FRAME).tolist()
        == [True, False, False, False]
    )
    assert again.source == "class"
    assert again.key == rule.key
    assert again.format_text() == "hour from 21 to 5 and camera is n, class x"


def test_a_date_is_read_as_a_date() -> None:
    assert Condition("day", "<=", 19723.5).format_text() == "day <= 2024-01-01 12:00"
    assert Condition("luminance", ">=", 52.63218).format_text() == "luminance >= 52.63"


def test_thresholds_do_not_change_what_a_rule_is_about() -> None:
    one, two = (Rule((Condition("luminance", "<=", v),)) for v in (10.0, 20.0))
    assert one.key == two.key != Rule((Condition("luminance", ">=", 10.0),)).key


def test_near_asks_for_a_distance_and_admits_nobody_without_one() -> None:
    features = np.array([[1, 0], [0.9, 0.1], [0, 1], [1, 1]], np.float32)
    rule = Rule((Condition("a", "near", 0.3),))
    assert rule.compute_mask(FRAME, {"a": measure_cosine_distances(features, [0])[0]}).tolist() == [
        True,
        True,
        False,
        True,
    ]
    assert not rule.compute_mask(FRAME).any()


def test_names_of_groups_and_of_labels_are_no_conditions() -> None:
    images = FRAME[["image_id", "label", "group", "camera"]].assign(
        path="p",
        source="s",
        content_hash="h",
        width=1,
        height=1,
        captured_at=pd.Timestamp("2026-01-01"),
        given_split=None,
        track=list("1122"),
        class_name=["X", "X", "Y", "Y"],
        weather=["sun", "rain", "sun", "rain"],
    )
    frame = build_condition_frame(images, FRAME[["image_id", "luminance"]])
    assert list(frame.columns) == ["image_id", "label", "group", "luminance", "camera", "weather"]


def test_a_image_of_a_class_without_its_mark_is_told_in_words() -> None:
    lacks, bears = (Condition("mark of X", "is", value) for value in ("False", "True"))
    assert (lacks.format_text(), bears.format_text()) == (
        "without the mark of X",
        "with the mark of X",
    )
    assert Rule((lacks,), "X").is_unmarked_class
    assert not any(
        rule.is_unmarked_class
        for rule in (Rule((bears,), "X"), Rule((lacks,), "Y"), Rule((lacks,)))
    )
    assert not Rule((lacks, Condition("luminance", "<=", 9.0)), "X").is_unmarked_class, (
        "some of them only"
    )
    assert Condition("mark of care", "<=", 3.0).format_text() == "mark of care <= 3", (
        "a column of the user's"
    )
    marks = FRAME[["image_id"]].assign(
        **{"mark of X": [True, False, False, True], "mark of Y": False}
    )
    frame = build_condition_frame(
        FRAME[["image_id", "label", "group"]], FRAME[["image_id", "luminance"]], marks
    )
    assert list(frame.columns) == ["image_id", "label", "group", "luminance", "mark of X"], (
        "nobody bears that of Y"
    )
    assert (
        Rule((lacks,), "X").compute_mask(frame).tolist()
        == ((FRAME["label"] == "X") & ~marks["mark of X"]).tolist()
    )


def test_an_attribute_stays_a_condition_where_each_group_has_its_own_value() -> None:
    images = FRAME[["image_id", "label", "group"]].assign(path="p", visit=list("1122"))
    attributes = FRAME[["image_id"]].assign(hour=[23.0, 23.0, 12.0, 12.0])
    assert list(build_condition_frame(images, attributes).columns) == [
        "image_id",
        "label",
        "group",
        "hour",
    ]


def test_distances_are_those_of_the_whole_however_few_rows_are_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    features[3], features[4] = np.nan, 0
    whole, other = measure_cosine_distances(features, [21, 7])
    np.testing.assert_array_equal(
        measure_cosine_distances(features, [7])[0], other
    )  # a threshold is the distance of a image
    monkeypatch.setattr(rules, "CHUNK_ROWS", 8)
    np.testing.assert_allclose(measure_cosine_distances(features, [21])[0], whole, atol=1e-6)
    assert np.isnan(whole[3])
    assert whole[21] == pytest.approx(0, abs=1e-6)
    assert whole[4] == 1
    assert measure_cosine_distances(features, []).shape == (0, 50)


@pytest.mark.parametrize(
    ("op", "value", "away"), [("<=", 5.0, 2.0), (">=", 5.0, 2.0), ("between", [22.0, 4.0], 1.0)]
)
def test_one_number_is_judged_as_a_column_is(op: str, value: Any, away: float) -> None:
    condition, numbers = (
        Condition("hour", op, value),
        [1.0, 3.0, 4.0, 5.0, 22.0, 23.0, float("nan")],
    )
    assert [condition.is_met_by(v) for v in numbers] == condition.compute_mask(
        pd.DataFrame({"hour": numbers}), {}
    ).tolist()
    assert condition.measure_limit_distance(3.0) == away


def test_a_rule_is_known_again_without_its_thresholds_and_image_ids() -> None:
    hour = Condition("hour", "between", (20.5, 5.5))
    first = Rule((Condition("luminance", "<=", 62.4), hour)).identity
    assert first == "luminance <= # and hour from # to #"
    assert (
        first
        == Rule(
            (Condition("luminance", "<=", 58), Condition("hour", "between", (21, 4.75)))
        ).identity
    )
    assert first != Rule((Condition("luminance", ">=", 62.4), hour)).identity
    looks = Rule(
        (Condition("00a1b2c3d4e5f607", "near", 0.2),), "(a)", numbers="hour > 21: 9 % of the others"
    )
    assert looks.identity == Rule((Condition("ffa1b2c3d4e5f607", "near", 0.3),), "(a)").identity
    assert looks.identity == "looks like image #, class (a)"
    gates = [
        Rule((Condition("gate", "is", value),)).identity for value in ("gate-1", "gate-2", "3", "4")
    ]
    assert len(set(gates)) == 4, "a value is no threshold"
    assert (
        Rule((Condition("mark of a", "is", "False"),), "a").identity
        == "without the mark of a, class a"
    )
    assert Rule(()).identity == "every image"
