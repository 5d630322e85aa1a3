import numpy as np
import pandas as pd
import pytest

from pipeline.learning.training.batch_sampling import TrainingImages
from pipeline.learning.training.holdout_split import (
    assign_folds,
    select_training_images,
    split_holdout,
)


def _images(labels: np.ndarray) -> TrainingImages:
    return TrainingImages(
        np.zeros((len(labels), 1, 1, 3), np.uint8), np.arange(len(labels)), labels.astype(np.int64)
    )


def test_whole_groups_are_held_out_about_as_many_as_asked() -> None:
    labels, groups = np.repeat(np.arange(100) % 4, 5), np.repeat(np.arange(100), 5)
    rest, held = split_holdout(_images(labels), groups, 0.1, seed=3)
    assert not set(groups[rest.image_rows]) & set(groups[held.image_rows])
    assert len(rest) + len(held) == 500
    assert 40 <= len(held) <= 60
    assert set(held.labels) == {0, 1, 2, 3}
    again = split_holdout(_images(labels), groups, 0.1, seed=3)[1]
    assert np.array_equal(held.image_rows, again.image_rows)
    assert not np.array_equal(
        held.image_rows, split_holdout(_images(labels), groups, 0.1, seed=4)[1].image_rows
    )


@pytest.mark.parametrize("seed", range(6))
def test_no_class_loses_all_its_images(seed: int) -> None:
    labels = np.array([0] * 60 + [1] * 3 + [2])
    groups = np.array([*range(60), 60, 60, 60, 61])
    rest, _ = split_holdout(_images(labels), groups, 0.4, seed)
    assert set(rest.labels) == {0, 1, 2}


def test_few_groups_are_not_shared_out() -> None:
    rest, held = split_holdout(_images(np.array([0, 1] * 20)), np.arange(40) % 9, 0.1, seed=0)
    assert (len(rest), len(held)) == (40, 0)


@pytest.mark.parametrize("case", ["alone", "grouped", "scarce", "two groups"])
def test_folds_keep_groups_together(case: str) -> None:
    labels = np.arange(60) % 3 if case != "scarce" else np.arange(60)
    groups = {"alone": np.arange(60), "two groups": np.arange(60) % 2}.get(case, np.arange(60) // 3)
    fold = assign_folds(labels, groups, 5, seed=0)
    assert len(np.unique(fold)) == (2 if case == "two groups" else 5)
    assert pd.DataFrame({"g": groups, "f": fold}).groupby("g")["f"].nunique().max() == 1
    assert np.bincount(fold).max() <= 2 * np.bincount(fold).min()


def test_training_images_are_labeled_ones_of_train() -> None:
    images = pd.DataFrame({"image_id": list("vwxyz"), "label": ["b", None, "a", "b", "unknown"]})
    splits = pd.DataFrame({"split": ["train", "train", "val", "train", "train"]})
    found = select_training_images(images, splits, np.zeros((5, 2, 2, 3), np.uint8), ["a", "b"])
    assert (found.image_rows.tolist(), found.labels.tolist(), found.format_image_ids()) == (
        [0, 3],
        [1, 1],
        "v, y",
    )
