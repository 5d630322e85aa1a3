"""The holdout: whole groups of the training split that only early stopping and temperature use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.statistics.group_intervals import encode_groups
from pipeline.statistics.group_sampling import assign_group_folds

MINIMUM_GROUPS = 10
"""With fewer groups a holdout would take too many of them from the training."""
DEFAULT_HOLDOUT_SHARE = 0.1
"""The share of the runs whose record of the training does not name one."""


def find_class_indices(images: pd.DataFrame, class_names: list[str]) -> NDArray[np.int64]:
    """Return the class index of each image, int64 [images]; -1 without a label of `class_names`."""
    return pd.Index(class_names).get_indexer(pd.Index(images["label"])).astype(np.int64)


def select_training_images(
    images: pd.DataFrame, splits: pd.DataFrame, pixels: NDArray[np.uint8], class_names: list[str]
) -> TrainingImages:
    """Return the images of the split `train` with a label among `class_names`.

    Args:
        images: the artifact of this name.
        splits: the artifact of this name, with the same rows.
        pixels: uint8 [images, S, S, 3].
        class_names: the classes in the order of their index.
    """
    labels = find_class_indices(images, class_names)
    rows = np.flatnonzero((splits["split"] == "train").to_numpy() & (labels >= 0))
    return TrainingImages(pixels, rows, labels[rows], images["image_id"].tolist())


def split_holdout(
    training_images: TrainingImages, groups: ArrayLike, holdout_share: float, seed: int
) -> tuple[TrainingImages, TrainingImages]:
    """Return the images to train on and the holdout, stratified by class as far as groups allow.

    The same arguments give the same split.

    Args:
        training_images: all images of the training split, [n].
        groups: the group of each image, [n]; a group is never divided.
        holdout_share: approximate share of the images in the holdout.
        seed: seed of the split.

    Returns:
        (images to train on, holdout). No class loses all its images to the holdout. With fewer than
        ten groups the holdout is empty.
    """
    if encode_groups(groups)[1] < MINIMUM_GROUPS:
        return training_images, training_images.select_images(slice(0, 0))
    labels = training_images.labels
    fold_count = max(2, round(1 / holdout_share))
    is_held_out = assign_group_folds(labels, groups, fold_count, seed) == 0
    group_names = np.asarray(groups)
    # A class without training images gets all its groups back.
    for label in np.setdiff1d(labels, labels[~is_held_out]):
        is_held_out &= ~np.isin(group_names, group_names[labels == label])
    return (
        training_images.select_images(np.flatnonzero(~is_held_out)),
        training_images.select_images(np.flatnonzero(is_held_out)),
    )


def recreate_holdout_split(
    training_images: TrainingImages,
    images: pd.DataFrame,
    training_record: Mapping[str, Any],
    seed: int,
) -> tuple[TrainingImages, TrainingImages]:
    """Return the same two sets as the stage `train` used, so that its holdout stays unseen.

    Args:
        training_images: all images of the training split.
        images: the artifact of this name.
        training_record: the artifact `training`.
        seed: seed of the split if the record does not name one.

    Returns:
        (images to train on, holdout).
    """
    default: dict[str, Any] = {"share": DEFAULT_HOLDOUT_SHARE, "seed": seed}
    holdout_record = training_record.get("holdout") or default
    groups = images["group"].to_numpy(dtype=str)[training_images.image_rows]
    return split_holdout(training_images, groups, holdout_record["share"], holdout_record["seed"])
