"""The part of train, whole groups, that no gradient sees: for the early stop and the temperature."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold

from pipeline.learning.training.batch_sampling import TrainingImages
from pipeline.statistics.group_intervals import encode_groups

MINIMUM_GROUPS = 10  # groups


def assign_folds(
    labels: NDArray[np.int64], groups: ArrayLike, fold_count: int, seed: int
) -> NDArray[np.int64]:
    """Fold 0 .. folds - 1 of each image [n]: whole groups, classes spread as evenly as they allow.

    At least two groups; fewer folds where there are fewer groups.
    """
    group, count = encode_groups(groups)
    fold_count = min(fold_count, count)
    if np.bincount(labels).max() < fold_count:
        splitter = GroupKFold(fold_count, shuffle=True, random_state=seed)
    elif count == len(labels):  # every image is a group of its own: the same, and faster
        splitter = StratifiedKFold(fold_count, shuffle=True, random_state=seed)
    else:
        splitter = StratifiedGroupKFold(fold_count, shuffle=True, random_state=seed)
    fold = np.zeros(len(labels), np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "The (least populated class|groups parameter is ignored)", UserWarning
        )
        for number, (_, held) in enumerate(splitter.split(fold, labels, group)):
            fold[held] = number
    return fold


def find_class_indices(images: pd.DataFrame, class_names: list[str]) -> NDArray[np.int64]:
    """Class index of each image, -1 where it has no label or one that is not in `names`: int64 [images]."""
    return pd.Index(class_names).get_indexer(pd.Index(images["label"])).astype(np.int64)


def select_training_images(
    images: pd.DataFrame, splits: pd.DataFrame, pixels: NDArray[np.uint8], class_names: list[str]
) -> TrainingImages:
    """The images of the split `train` whose label is one of `names`."""
    index = find_class_indices(images, class_names)
    rows = np.flatnonzero((splits["split"] == "train").to_numpy() & (index >= 0))
    return TrainingImages(pixels, rows, index[rows], images["image_id"].tolist())


def split_holdout(
    training_images: TrainingImages, groups: ArrayLike, holdout_share: float, seed: int
) -> tuple[TrainingImages, TrainingImages]:
    """(the images to fit on, the holdout): about `share` of the images, whole groups, stratified as far as can be.

    groups: of each image [n]. No class loses all its images to the holdout. Fewer than ten groups: no holdout.
    The same arguments give the same parts.
    """
    if encode_groups(groups)[1] < MINIMUM_GROUPS:
        return training_images, training_images.select_images(slice(0, 0))
    held = assign_folds(training_images.labels, groups, max(2, round(1 / holdout_share)), seed) == 0
    for label in np.setdiff1d(training_images.labels, training_images.labels[~held]):
        held &= ~np.isin(np.asarray(groups), np.asarray(groups)[training_images.labels == label])
    return training_images.select_images(np.flatnonzero(~held)), training_images.select_images(
        np.flatnonzero(held)
    )


def recreate_holdout_split(
    training_images: TrainingImages,
    images: pd.DataFrame,
    training_record: Mapping[str, Any],
    seed: int,
) -> tuple[TrainingImages, TrainingImages]:
    """The images that `train` learnt from, and its holdout, which stays unseen. training: the artifact."""
    known = training_record.get("holdout") or {"share": 0.1, "seed": seed}
    return split_holdout(
        training_images,
        images["group"].to_numpy(dtype=str)[training_images.image_rows],
        known["share"],
        known["seed"],
    )
