import numpy as np
import pandas as pd
import pytest

from pipeline.learning.batches import Photos
from pipeline.learning.holdout import folds_of, hold_out, training_photos


def _photos(labels: np.ndarray) -> Photos:
    return Photos(np.zeros((len(labels), 1, 1, 3), np.uint8), np.arange(len(labels)), labels.astype(np.int64))


def test_whole_groups_are_held_out_about_as_many_as_asked() -> None:
    labels, groups = np.repeat(np.arange(100) % 4, 5), np.repeat(np.arange(100), 5)
    rest, held = hold_out(_photos(labels), groups, 0.1, seed=3)
    assert not set(groups[rest.rows]) & set(groups[held.rows])
    assert len(rest) + len(held) == 500
    assert 40 <= len(held) <= 60
    assert set(held.labels) == {0, 1, 2, 3}
    again = hold_out(_photos(labels), groups, 0.1, seed=3)[1]
    assert np.array_equal(held.rows, again.rows)
    assert not np.array_equal(held.rows, hold_out(_photos(labels), groups, 0.1, seed=4)[1].rows)


@pytest.mark.parametrize("seed", range(6))
def test_no_class_loses_all_its_photos(seed: int) -> None:
    labels = np.array([0] * 60 + [1] * 3 + [2])
    groups = np.array([*range(60), 60, 60, 60, 61])
    rest, _ = hold_out(_photos(labels), groups, 0.4, seed)
    assert set(rest.labels) == {0, 1, 2}


def test_few_groups_are_not_shared_out() -> None:
    rest, held = hold_out(_photos(np.array([0, 1] * 20)), np.arange(40) % 9, 0.1, seed=0)
    assert (len(rest), len(held)) == (40, 0)


@pytest.mark.parametrize("case", ["alone", "grouped", "scarce", "two groups"])
def test_folds_keep_groups_together(case: str) -> None:
    labels = np.arange(60) % 3 if case != "scarce" else np.arange(60)
    groups = {"alone": np.arange(60), "two groups": np.arange(60) % 2}.get(case, np.arange(60) // 3)
    fold = folds_of(labels, groups, 5, seed=0)
    assert len(np.unique(fold)) == (2 if case == "two groups" else 5)
    assert pd.DataFrame({"g": groups, "f": fold}).groupby("g")["f"].nunique().max() == 1
    assert np.bincount(fold).max() <= 2 * np.bincount(fold).min()


def test_training_photos_are_labelled_ones_of_train() -> None:
    images = pd.DataFrame({"image_id": list("vwxyz"), "label": ["b", None, "a", "b", "unknown"]})
    splits = pd.DataFrame({"split": ["train", "train", "val", "train", "train"]})
    found = training_photos(images, splits, np.zeros((5, 2, 2, 3), np.uint8), ["a", "b"])
    assert (found.rows.tolist(), found.labels.tolist(), found.named()) == ([0, 3], [1, 1], "v, y")
