"""What a smaller image side costs in accuracy, estimated without a training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.contracts import ProgressTracker, iterate_silently
from pipeline.data.reading.image_decoding import ImageError, letterbox_image
from pipeline.data.reading.image_sources import get_local_path, open_image
from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.model_outputs import extract_features
from pipeline.learning.models.side_choice import list_useful_sides
from pipeline.statistics.group_intervals import ConfidenceInterval, estimate_cluster_mean
from pipeline.statistics.group_sampling import assign_group_folds, sample_classes_by_group

MAX_CLASS_IMAGES = 300
MAX_IMAGES = 600
"""Images that are compared, of each class and in all: 4.7 s of two cores at 64 and 128 px."""
MIN_IMAGES = 30
FOLD_COUNT = 3
REGULARIZATION = 0.01
MIN_ENLARGEMENT = 1.25
"""Ratio of the larger side to the side below which a comparison is not worth its time."""


@dataclass(frozen=True)
class SideComparison:
    """Accuracy of a linear classifier of frozen features at two sides of the same images.

    Attributes:
        side: side of the images in pixels.
        larger_side: the largest useful side that the images have.
        accuracy: share of correct predictions at `side`.
        larger_accuracy: that at `larger_side`.
        lost: the difference of the two, with its interval by group.
        image_count: number of images.
    """

    side: int
    larger_side: int
    accuracy: float
    larger_accuracy: float
    lost: ConfidenceInterval
    image_count: int


def find_larger_side(images: pd.DataFrame, side: int) -> int | None:
    """Return the largest useful side of the images, None if it is hardly larger than theirs.

    Args:
        images: rows with `width` and `height` in pixels.
        side: side at which the images are read.
    """
    if images.empty:
        return None
    longer_sides = images[["width", "height"]].max(axis=1)
    largest = list_useful_sides(longer_sides.tolist())[-1]
    is_larger = MIN_ENLARGEMENT * side <= largest <= longer_sides.median()
    return largest if is_larger else None


def compare_sides(
    images: pd.DataFrame,
    training_images: TrainingImages,
    groups: NDArray[np.str_],
    seed: int,
    track: ProgressTracker = iterate_silently,
) -> SideComparison | None:
    """Return the accuracy of training images at their side and at the largest useful one.

    The linear classifier is fitted by folds of whole groups on a sample that holds each class
    equally often. The loss of a trained network may differ. None if the images have no larger
    side, or too few of them can be read.

    Args:
        images: the artifact of that name.
        training_images: training images, as rows of `images`.
        groups: group of each training image, [n].
        seed: seed of the sample.
        track: progress over the images that are read.
    """
    side = int(training_images.pixels.shape[1])
    larger_side = find_larger_side(images.iloc[training_images.image_rows], side)
    if larger_side is None:
        return None
    rng = np.random.default_rng(seed)
    sample = sample_classes_by_group(
        training_images.labels, groups, MAX_CLASS_IMAGES, MAX_IMAGES, rng
    )
    sources = images["source"].iloc[training_images.image_rows[sample]].tolist()
    pixels, is_read = _read_images(sources, larger_side, track)
    sample = sample[is_read]
    labels, own_groups = training_images.labels[sample], groups[sample]
    if len(sample) < MIN_IMAGES or len(np.unique(labels)) < 2:
        return None
    folds = assign_group_folds(labels, own_groups, FOLD_COUNT, seed)
    if not folds.any():  # a single group: nothing is left to fit on
        return None
    is_right, is_right_larger = (
        _predict_by_folds(extract_features(copies), labels, folds) == labels
        for copies in (training_images.select_images(sample).load_pixels(), pixels)
    )
    lost = is_right_larger.astype(float) - is_right
    return SideComparison(
        side,
        larger_side,
        float(is_right.mean()),
        float(is_right_larger.mean()),
        estimate_cluster_mean(lost, own_groups, bounds=(-1.0, 1.0)),
        len(sample),
    )


def _read_images(
    sources: list[str], side: int, track: ProgressTracker
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the images that can be read, uint8 [images, side, side, 3], and which they are.

    Images at addresses are not fetched a second time.
    """
    copies, is_read = [], np.zeros(len(sources), bool)
    for position, source in enumerate(track(sources, total=len(sources), unit="images")):
        if get_local_path(source) is None:
            continue
        try:
            copies.append(letterbox_image(open_image(source, side), side))
        except ImageError:
            continue
        is_read[position] = True
    return np.array(copies, np.uint8).reshape(-1, side, side, 3), is_read


def _predict_by_folds(
    features: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the prediction for each image by a classifier that was fitted on other groups."""
    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(C=REGULARIZATION, max_iter=300, tol=1e-3)
    )
    predictions = np.full(len(labels), -1)
    for fold in np.unique(folds):
        is_fitted = folds != fold
        if len(np.unique(labels[is_fitted])) >= 2:
            fitted = classifier.fit(features[is_fitted], labels[is_fitted])
            predictions[~is_fitted] = fitted.predict(features[~is_fitted])
    return predictions
