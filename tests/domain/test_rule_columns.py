import numpy as np
import pandas as pd

from pipeline.domain.rule_columns import (
    MAX_COLUMN_LEVELS,
    build_condition_frame,
    build_metadata_frame,
    split_columns,
)
from pipeline.domain.rules import Condition, Rule

KEYS = pd.DataFrame(
    {"image_id": list("abcd"), "label": ["x", "x", "y", "y"], "group": list("1122")}
)
ATTRIBUTES = KEYS[["image_id"]].assign(luminance=[10.0, 50.0, np.nan, 90.0])


def _list_usable(images: pd.DataFrame, attributes: pd.DataFrame = ATTRIBUTES) -> list[str]:
    frame = build_condition_frame(images, attributes)
    assert list(frame.columns[:3]) == ["image_id", "label", "group"]
    return list(frame.columns[3:])


def test_names_of_groups_and_of_labels_are_not_tested() -> None:
    images = KEYS.assign(
        track=list("1122"), class_name=["X", "X", "Y", "Y"], weather=["sun", "rain", "sun", "rain"]
    )
    assert _list_usable(images) == ["luminance", "weather"]
    _, other = split_columns(build_metadata_frame(images, ATTRIBUTES))
    assert list(other.columns) == ["track", "class_name"]


def test_columns_of_the_program_and_times_are_left_out() -> None:
    images = KEYS.assign(
        path=list("abcd"),
        chosen_for=list("xyxy"),
        width=[1, 2, 3, 4],
        captured_at=pd.Timestamp("2026-01-01"),
        visited=pd.date_range("2026-01-01", periods=4),
    )
    assert list(build_metadata_frame(images, ATTRIBUTES).columns[3:]) == ["luminance"]


def test_an_attribute_is_tested_though_each_group_has_its_own_value() -> None:
    images = KEYS.assign(visit=list("1122"))
    attributes = KEYS[["image_id"]].assign(hour=[23.0, 23.0, 12.0, 12.0])
    assert _list_usable(images, attributes) == ["hour"]


def test_constants_and_texts_of_too_many_values_are_not_tested() -> None:
    n = MAX_COLUMN_LEVELS + 1
    rows = np.arange(n)
    images = pd.DataFrame({"image_id": rows, "label": ["x", "y", "y"] * 17, "group": rows // 5})
    images = images.assign(note=[f"note {k}" for k in rows], site="only", altitude=rows)
    attributes = images[["image_id"]].assign(luminance=rows)
    assert _list_usable(images, attributes) == ["luminance", "altitude"]


def test_an_attribute_comes_before_a_user_column_of_the_same_name() -> None:
    images = KEYS.assign(luminance=[1.0, 2, 3, 4])
    frame = build_condition_frame(images, ATTRIBUTES)
    assert frame["luminance"].tolist()[:2] == [10.0, 50.0]
    assert list(frame.columns).count("luminance") == 1


def test_a_mark_that_some_images_bear_can_be_tested() -> None:
    marks = KEYS[["image_id"]].assign(
        **{"mark of x": [True, False, False, True], "mark of y": False}
    )
    frame = build_condition_frame(KEYS, ATTRIBUTES, marks)
    assert list(frame.columns[3:]) == ["luminance", "mark of x"]
    unmarked = Rule((Condition("mark of x", "is", "False"),), "x").compute_mask(frame)
    assert unmarked.tolist() == [False, True, False, False]


def test_a_text_of_many_values_is_tested_if_some_begin_alike() -> None:
    n = 2 * MAX_COLUMN_LEVELS
    rows = np.arange(n)
    images = pd.DataFrame({"image_id": rows, "label": ["x", "y"] * (n // 2), "group": rows // 5})
    images = images.assign(file=[f"device-{k % 7:04d}/{k}" for k in rows])
    attributes = images[["image_id"]].assign(luminance=rows)
    assert _list_usable(images, attributes) == ["luminance", "file"]
