"""Unlabeled images that look like failures: pipeline/slices/prescription/look_alikes.py."""

import numpy as np
import pandas as pd
import pytest

from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.prescription import look_alikes
from pipeline.slices.prescription.look_alikes import (
    LOOK_ALIKE_COLUMNS,
    LookAlikeList,
    SliceExamples,
    select_slice_examples,
)
from tests.helpers.validation_sets import make_validation_set

RNG = np.random.default_rng(0)


def _draw_cluster(center: int, count: int) -> np.ndarray:
    """Return features around one of ten axes."""
    noise = RNG.normal(0, 0.1, (count, 10))
    return (np.eye(10)[center] + noise).astype(np.float32)


def _add(found: LookAlikeList, paths: list[str], features: np.ndarray) -> None:
    count = len(paths)
    found.add_images(paths, features, np.array(["badge"] * count), np.full(count, 0.9, np.float32))


def test_the_nearest_to_the_failures_come_first_whatever_the_chunks() -> None:
    examples = {"s1": SliceExamples(_draw_cluster(0, 8), _draw_cluster(1, 30))}
    alike, unlike = _draw_cluster(0, 6), _draw_cluster(1, 40)
    features = np.concatenate([unlike[:20], alike, unlike[20:]])
    paths = [f"{row}.jpg" for row in range(46)]
    expected = {f"{row}.jpg" for row in range(20, 26)}
    tables = []
    for size in (46, 5):
        found = LookAlikeList(examples)
        for start in range(0, 46, size):
            _add(found, paths[start : start + size], features[start : start + size])
        tables.append(found.build_table())
    pd.testing.assert_frame_equal(*tables)
    assert set(tables[0]["path"]) == expected
    assert tables[0]["score"].is_monotonic_decreasing
    assert list(tables[0].columns) == LOOK_ALIKE_COLUMNS


def test_a_list_is_as_long_as_a_person_can_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_alikes, "MAX_LOOK_ALIKES", 3)
    found = LookAlikeList({"s1": SliceExamples(_draw_cluster(0, 8), _draw_cluster(1, 30))})
    _add(found, [f"{row}.jpg" for row in range(9)], _draw_cluster(0, 9))
    assert len(found.build_table()) == 3


def test_nothing_alike_is_an_empty_table() -> None:
    found = LookAlikeList({"s1": SliceExamples(_draw_cluster(0, 8), _draw_cluster(1, 30))})
    assert found.build_table().empty
    _add(found, ["a.jpg"], _draw_cluster(1, 1))
    assert list(found.build_table().columns) == LOOK_ALIKE_COLUMNS
    assert found.build_table().empty


@pytest.fixture
def val() -> ValidationSet:
    """Return six validation images behind four of training; the first three are dark."""
    labels = np.array([0, 1, 0, 1, 0, 1])
    predictions = np.array([1, 1, 1, 0, 0, 1])
    frame = pd.DataFrame(
        {
            "image_id": [f"i{row}" for row in range(4, 10)],
            "label": np.array(["badge", "no_badge"])[labels],
            "group": [f"g{row}" for row in range(6)],
        }
    )
    rows = np.arange(4, 10)
    return make_validation_set(
        frame, labels, predictions, ["badge", "no_badge"], image_rows=rows, folds=np.arange(6) % 5
    )


def test_examples_are_failures_of_the_slice_and_images_outside_it(val: ValidationSet) -> None:
    embeddings = np.arange(10, dtype=np.float32)[:, None]
    embeddings[0] = np.nan  # an image without features
    is_dark = np.isin(np.arange(10), [0, 4, 5, 6])
    examples = select_slice_examples(val, {"s1": is_dark}, embeddings, np.arange(10) < 4)
    assert examples["s1"].failures.ravel().tolist() == [4, 6]
    assert examples["s1"].others.ravel().tolist() == [1, 2, 3, 7, 8, 9]


def test_a_slice_without_failures_has_no_examples(val: ValidationSet) -> None:
    embeddings = np.ones((10, 1), np.float32)
    is_right = np.isin(np.arange(10), [5, 8])
    assert select_slice_examples(val, {"s1": is_right}, embeddings, np.arange(10) < 4) == {}
