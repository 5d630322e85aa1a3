"""Shortcuts of a small trained network, and the same marks for a network that never saw them."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.slices.shortcuts.shortcut_detection import (
    SHORTCUT_COLUMNS,
    detect_shortcuts,
    list_untestable_classes,
)
from pipeline.slices.shortcuts.shortcut_images import ShortcutImages
from tests.slices.shortcuts.conftest import (
    CLASS_NAMES,
    IMAGE_SIDE,
    MARKED_CLASS,
    MARKS,
    PredictFunction,
    build_shortcut_images,
    train_network,
)

ROWS = np.arange(300)


def _detect(images: ShortcutImages, predict: PredictFunction, **limits: Any) -> pd.DataFrame:
    settings = {"grid_size": 4, "max_images": 40, "max_predictions": 10**6, "seed": 0} | limits
    table = detect_shortcuts(images, CLASS_NAMES, predict, **settings)
    dtypes = {name: str(dtype) for name, dtype in table.dtypes.items()}
    assert dtypes == SHORTCUT_COLUMNS
    return table.set_index("label")


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_that_the_model_relies_on_is_confirmed(mark: str) -> None:
    table = _detect(build_shortcut_images(mark), train_network(mark))
    assert table.index[table["status"] == "confirmed"].to_list() == ["ring"]
    row = table.loc["ring"]
    assert row["covered"] > row["object"] + 0.3
    assert row["pasted"] > row["placebo"] + 0.3
    if mark == "logo":
        assert np.argmax(json.loads(row["grid"])) == np.argmax(json.loads(row["mark"])) == 0


@pytest.mark.parametrize("mark", MARKS)
def test_the_same_mark_is_not_confirmed_for_a_model_that_never_saw_it(mark: str) -> None:
    table = _detect(build_shortcut_images(mark), train_network(None))
    assert table.loc["ring", "status"] == "not confirmed"


@pytest.mark.parametrize("seed", range(3, 8))
def test_images_without_a_mark_cost_no_prediction(seed: int) -> None:
    batch_sizes: list[int] = []

    def predict_nothing(pixels: np.ndarray) -> np.ndarray:
        batch_sizes.append(len(pixels))
        return np.zeros(len(pixels), int)

    assert _detect(build_shortcut_images(None, seed=seed), predict_nothing).empty
    assert batch_sizes == []


def _regroup(groups: np.ndarray, folds: np.ndarray) -> ShortcutImages:
    images = build_shortcut_images("caption")
    return ShortcutImages(images.pixels, images.rows, images.labels, groups.astype(str), folds)


def test_no_mark_is_proposed_from_too_few_groups() -> None:
    nine_groups = _regroup(ROWS % 9, ROWS % 9 % 3)
    assert _detect(nine_groups, train_network("caption")).empty


def test_a_mark_on_too_few_groups_is_not_testable() -> None:
    group = ROWS % 14
    small_fold = _regroup(group, np.where(group < 4, 0, 1))
    table = _detect(small_fold, train_network("caption"))
    assert table["status"].to_list() == ["not testable"]
    assert table["groups"].to_list() == [4]
    assert table["p_value"].isna().all()


def test_no_images_have_no_shortcuts() -> None:
    images = build_shortcut_images("caption")
    empty = ShortcutImages(
        images.pixels[:0], images.rows[:0], images.labels[:0], images.groups[:0], images.folds[:0]
    )
    assert _detect(empty, train_network("caption")).empty
    assert list_untestable_classes(empty, CLASS_NAMES) == []


def test_classes_with_too_few_groups_on_every_fold_are_listed() -> None:
    labels = np.repeat([0, 1, 2], [24, 11, 0])  # folds of 12 and 12, of 6 and 5
    rows = np.arange(35)
    pixels = np.zeros((35, 8, 8, 3), np.uint8)
    images = ShortcutImages(pixels, rows, labels, rows.astype(str), rows % 2)
    assert list_untestable_classes(images, CLASS_NAMES) == ["ring"]


def test_a_mark_that_matters_no_more_than_an_object_outside_the_center_is_not_confirmed() -> None:
    """The model needs the caption and an object at the upper left; the center changes nothing."""
    images = build_shortcut_images("caption")
    is_identifying = np.zeros((IMAGE_SIDE, IMAGE_SIDE), bool)
    is_identifying[9:24:2, 1:8:2] = is_identifying[9:24:2, 25:32:2] = True
    known_pixels = images.pixels[:, is_identifying].astype(np.int16)

    def predict_both(pixels: np.ndarray) -> np.ndarray:
        sources = []
        for image in pixels:
            differences = np.abs(known_pixels - image[is_identifying]).sum((1, 2))
            sources.append(int(differences.argmin()))
        originals = images.pixels[sources]
        has_object = (pixels[:, :8, 8:16] == originals[:, :8, 8:16]).all((1, 2, 3))
        has_caption = (pixels[:, 28:31, 3:29:2] > 240).all((1, 2, 3))
        return np.where(has_object & has_caption, MARKED_CLASS, 0)

    row = _detect(images, predict_both, max_images=12).loc["ring"]
    assert row["covered"] > 0.8
    assert row["pasted"] > row["placebo"] + 0.8
    assert row["object"] > 0.8
    assert row["status"] == "not confirmed"


def test_the_number_of_predictions_is_limited() -> None:
    images, network = build_shortcut_images("caption"), train_network("caption")
    batch_sizes: list[int] = []

    def predict_and_count(pixels: np.ndarray) -> np.ndarray:
        batch_sizes.append(len(pixels))
        return network(pixels)

    unlimited = _detect(images, predict_and_count).loc["ring"]
    total = sum(batch_sizes)
    batch_sizes.clear()
    limited = _detect(images, predict_and_count, max_predictions=total // 2).loc["ring"]
    assert total / 4 < sum(batch_sizes) <= total // 2
    assert limited["n"] < unlimited["n"]
    assert limited["status"] == "confirmed"
    least = _detect(images, predict_and_count, max_predictions=1)
    assert least["status"].to_list() == ["not testable"]
