"""Whole classes are compared with each other, by whole groups."""

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.domain.statuses import ClassSliceKind
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.family.class_search import find_class_slices, list_class_candidates
from tests.helpers.validation_sets import make_validation_set

CLASS_COUNT = 6
NAMES = "abcdef"


def _draw(seed: int, error_rates: list[float], groups: int = 120, frames: int = 4) -> ValidationSet:
    """Return images of groups whose errors depend on class and group; errors are read as f."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(groups) % CLASS_COUNT, frames)
    hardness = np.repeat(rng.uniform(0.4, 1.6, groups), frames)
    is_wrong = rng.random(len(labels)) < np.array(error_rates)[labels] * hardness
    wrong = np.where(labels == CLASS_COUNT - 1, 0, CLASS_COUNT - 1)
    frame = pd.DataFrame(
        {
            "image_id": [f"i{row}" for row in range(len(labels))],
            "label": np.array(list(NAMES))[labels],
            "group": np.repeat([f"g{group}" for group in range(groups)], frames),
        }
    )
    return make_validation_set(frame, labels, np.where(is_wrong, wrong, labels), NAMES)


def _find(val: ValidationSet, training: list[int] | None = None) -> pd.DataFrame:
    counts = None if training is None else np.array(training)
    return find_class_slices(val, np.ones(val.image_count, bool), counts, level=0.05, seed=0)


def test_a_class_that_fails_as_a_whole_is_found_with_what_it_is_read_as() -> None:
    found = _find(_draw(0, [0.05, 0.6, 0.05, 0.05, 0.05, 0.05]), [100, 80, 100, 100, 120, 100])
    row = found.iloc[0]
    assert len(found) == 1
    assert (row["kind"], json.loads(row["classes"])) == (ClassSliceKind.CLASS, ["b"])
    assert (row["confused_label"], row["confused_prediction"]) == ("b", "f")
    assert row["confused_failures"] == row["failures"]
    assert row["recoverable"] == pytest.approx(row["n"] * (row["error"] - row["expected"]))
    assert row["expected"] < 0.1 < 0.4 < row["error"]
    assert (row["training_images"], row["usual_training_images"]) == (80, 100)


def test_rare_classes_that_each_hold_too_little_are_a_long_tail() -> None:
    val = _draw(1, [0.05, 0.05, 0.05, 0.3, 0.3, 0.3], groups=48)
    row = _find(val, [400, 500, 600, 40, 30, 20]).iloc[0]
    assert row["kind"] == ClassSliceKind.LONG_TAIL
    assert json.loads(row["classes"]) == ["d", "e", "f"]
    assert (row["training_images"], row["usual_training_images"]) == (30, 500)


def test_errors_of_confirmed_slices_make_no_class_a_finding() -> None:
    val = _draw(2, [0.02] * CLASS_COUNT)
    is_explained = (val.labels == 1) & (np.arange(val.image_count) % 4 < 2)
    predictions = np.where(is_explained, 0, val.predictions)
    val = make_validation_set(val.frame, val.labels, predictions, NAMES)
    outside = find_class_slices(val, ~is_explained, None, level=0.05, seed=0)
    assert outside.empty
    assert json.loads(_find(val)["classes"].iloc[0]) == ["b"]


def test_two_bad_classes_are_two_findings_by_recoverable_errors() -> None:
    found = _find(_draw(3, [0.03, 0.4, 0.03, 0.03, 0.8, 0.03]))
    assert [json.loads(names) for names in found["classes"]] == [["e"], ["b"]]
    assert found["recoverable"].is_monotonic_decreasing
    assert found["training_images"].isna().all()


def test_classes_that_fail_alike_are_seldom_found() -> None:
    found = sum(not _find(_draw(seed, [0.15] * CLASS_COUNT)).empty for seed in range(100, 180))
    assert found <= 10  # 4 expected


@pytest.mark.parametrize("groups", [0, 1, 6])
def test_a_handful_of_groups_gives_no_finding(groups: int) -> None:
    assert _find(_draw(4, [0.0, 1.0, 0.0, 0.0, 0.0, 0.0], groups=groups)).empty


def test_a_tail_needs_two_classes_and_fewer_than_all() -> None:
    tails = list_class_candidates(3, np.array([10, 100, 100]))[3:]
    assert tails == []
    assert len(list_class_candidates(3, None)) == 3
