"""The part of train, whole groups, that no gradient sees: for the early stop and the temperature."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold

from pipeline.evidence.intervals import codes
from pipeline.learning.batches import Photos

LEAST = 10  # groups


def folds_of(labels: NDArray[np.int64], groups: ArrayLike, folds: int, seed: int) -> NDArray[np.int64]:
    """Fold 0 .. folds - 1 of each photo [n]: whole groups, classes spread as evenly as they allow.

    At least two groups; fewer folds where there are fewer groups.
    """
    group, count = codes(groups)
    folds = min(folds, count)
    if np.bincount(labels).max() < folds:
        splitter = GroupKFold(folds, shuffle=True, random_state=seed)
    elif count == len(labels):  # every photo is a group of its own: the same, and faster
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    else:
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = np.zeros(len(labels), np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The (least populated class|groups parameter is ignored)", UserWarning)
        for number, (_, held) in enumerate(splitter.split(fold, labels, group)):
            fold[held] = number
    return fold


def class_indices(images: pd.DataFrame, names: list[str]) -> NDArray[np.int64]:
    """Class index of each image, -1 where it has no label or one that is not in `names`: int64 [images]."""
    return pd.Index(names).get_indexer(pd.Index(images["label"])).astype(np.int64)


def training_photos(images: pd.DataFrame, splits: pd.DataFrame, pixels: NDArray[np.uint8], names: list[str]) -> Photos:
    """The photos of the split `train` whose label is one of `names`."""
    index = class_indices(images, names)
    rows = np.flatnonzero((splits["split"] == "train").to_numpy() & (index >= 0))
    return Photos(pixels, rows, index[rows], images["image_id"].tolist())


def hold_out(photos: Photos, groups: ArrayLike, share: float, seed: int) -> tuple[Photos, Photos]:
    """(the photos to fit on, the holdout): about `share` of the photos, whole groups, stratified as far as can be.

    groups: of each photo [n]. No class loses all its photos to the holdout. Fewer than ten groups: no holdout.
    The same arguments give the same parts.
    """
    if codes(groups)[1] < LEAST:
        return photos, photos.take(slice(0, 0))
    held = folds_of(photos.labels, groups, max(2, round(1 / share)), seed) == 0
    for label in np.setdiff1d(photos.labels, photos.labels[~held]):
        held &= ~np.isin(np.asarray(groups), np.asarray(groups)[photos.labels == label])
    return photos.take(np.flatnonzero(~held)), photos.take(np.flatnonzero(held))


def as_in_training(
    photos: Photos, images: pd.DataFrame, training: Mapping[str, Any], seed: int
) -> tuple[Photos, Photos]:
    """The photos that `train` learnt from, and its holdout, which stays unseen. training: the artifact."""
    known = training.get("holdout") or {"share": 0.1, "seed": seed}
    return hold_out(photos, images["group"].to_numpy(dtype=str)[photos.rows], known["share"], known["seed"])
