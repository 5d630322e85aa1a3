import numpy as np
import pandas as pd
import pytest

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.training.holdout_split import (
    recreate_holdout_split,
    select_training_images,
    split_holdout,
)


def _create_images(labels: np.ndarray) -> TrainingImages:
    pixels = np.zeros((len(labels), 1, 1, 3), np.uint8)
    return TrainingImages(pixels, np.arange(len(labels)), labels.astype(np.int64))


def test_the_holdout_has_whole_groups_and_about_its_share() -> None:
    images = _create_images(np.repeat(np.arange(100) % 4, 5))
    groups = np.repeat(np.arange(100), 5)
    rest, holdout = split_holdout(images, groups, 0.1, seed=3)
    assert not set(groups[rest.image_rows]) & set(groups[holdout.image_rows])
    assert len(rest) + len(holdout) == 500
    assert 40 <= len(holdout) <= 60
    assert set(holdout.labels) == {0, 1, 2, 3}


def test_the_seed_decides_the_holdout() -> None:
    images = _create_images(np.repeat(np.arange(100) % 4, 5))
    groups = np.repeat(np.arange(100), 5)
    _, holdout = split_holdout(images, groups, 0.1, seed=3)
    _, same_holdout = split_holdout(images, groups, 0.1, seed=3)
    _, other_holdout = split_holdout(images, groups, 0.1, seed=4)
    assert np.array_equal(holdout.image_rows, same_holdout.image_rows)
    assert not np.array_equal(holdout.image_rows, other_holdout.image_rows)


@pytest.mark.parametrize("seed", range(6))
def test_no_class_loses_all_its_images(seed: int) -> None:
    labels = np.array([0] * 60 + [1] * 3 + [2])
    groups = np.array([*range(60), 60, 60, 60, 61])
    rest, _ = split_holdout(_create_images(labels), groups, 0.4, seed)
    assert set(rest.labels) == {0, 1, 2}


def test_few_groups_give_no_holdout() -> None:
    images = _create_images(np.array([0, 1] * 20))
    rest, holdout = split_holdout(images, np.arange(40) % 9, 0.1, seed=0)
    assert len(rest) == 40
    assert len(holdout) == 0


def test_the_recorded_share_and_seed_recreate_the_holdout() -> None:
    groups = np.repeat(np.arange(40), 3)
    images = _create_images(np.repeat(np.arange(40) % 2, 3))
    table = pd.DataFrame({"group": [f"g{group:02d}" for group in groups]})
    _, holdout = split_holdout(images, table["group"], 0.25, seed=7)
    record = {"holdout": {"share": 0.25, "seed": 7}}
    _, recreated = recreate_holdout_split(images, table, record, seed=1)
    assert np.array_equal(recreated.image_rows, holdout.image_rows)
    _, default = recreate_holdout_split(images, table, {"holdout": None}, seed=1)
    _, expected_default = split_holdout(images, table["group"], 0.1, seed=1)
    assert np.array_equal(default.image_rows, expected_default.image_rows)


def test_training_images_are_the_labeled_images_of_train() -> None:
    images = pd.DataFrame({"image_id": list("vwxyz"), "label": ["b", None, "a", "b", "unknown"]})
    splits = pd.DataFrame({"split": ["train", "train", "val", "train", "train"]})
    pixels = np.zeros((5, 2, 2, 3), np.uint8)
    selected = select_training_images(images, splits, pixels, ["a", "b"])
    assert selected.image_rows.tolist() == [0, 3]
    assert selected.labels.tolist() == [1, 1]
    assert selected.format_image_ids() == "v, y"
