"""How far the failing images of a slice are from the training images, in frozen features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.rules import Mask
from pipeline.domain.slice_traits import TrainingDistanceTrait
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.finder_constants import CONSTANTS

MIN_NORM = 1e-9  # keeps the cosine of an embedding of zeros defined
NO_IMAGE_DISTANCE = 2.0  # the largest distance of two directions


@dataclass(frozen=True)
class TrainingImages:
    """The training images of a model.

    Attributes:
        embeddings: float32 [n, features], from frozen packaged weights.
        labels: class index of each image, [n]; -1 for a class that the model does not know.
    """

    embeddings: NDArray[np.float32]
    labels: NDArray[np.intp]


def find_training_distance(
    val: ValidationSet, slice_mask: Mask, training: TrainingImages, seed: int
) -> TrainingDistanceTrait | None:
    """Return how many failing images of a slice are unlike the training images of their class.

    Near is what is nearer than `CauseConstants.usual_distance_quantile` of the distances from
    correctly predicted images outside the slice to their nearest training image, by class.

    Args:
        val: the validation set.
        slice_mask: whether each image is in the slice, bool [rows].
        training: the training images.
        seed: seed of the samples.

    Returns:
        None if the share is not unusual, or if images to compare with are missing.
    """
    failing = _sample_rows(slice_mask & val.is_misclassified, seed)
    good_rows = ~slice_mask & ~val.is_misclassified
    good_rows &= np.isin(val.labels, val.labels[failing])
    good = _sample_rows(good_rows, seed)
    if not len(failing) or not len(good) or not len(training.labels):
        return None
    good_distances = _measure_nearest(val, good, training)
    limit = float(np.quantile(good_distances, CONSTANTS.causes.usual_distance_quantile))
    share = float((_measure_nearest(val, failing, training) > limit).mean())
    expected = float((good_distances > limit).mean())
    if share < expected + CONSTANTS.causes.min_share_difference:
        return None
    counts = np.bincount(training.labels[training.labels >= 0], minlength=len(val.class_names))
    return TrainingDistanceTrait(share, expected, int(np.median(counts[val.labels[failing]])))


def _sample_rows(mask: Mask, seed: int) -> NDArray[np.intp]:
    shuffled = np.random.default_rng(seed).permutation(np.flatnonzero(mask))
    return np.sort(shuffled[: CONSTANTS.causes.max_described_failures])


def _measure_nearest(
    val: ValidationSet, rows: NDArray[np.intp], training: TrainingImages
) -> NDArray[np.float64]:
    """Return one less the cosine to the nearest training image of the same class, [rows]."""
    distances = np.full(len(rows), NO_IMAGE_DISTANCE)
    for label in np.unique(val.labels[rows]):
        is_label = val.labels[rows] == label
        same_class = _normalize(training.embeddings[training.labels == label])
        if len(same_class):
            similarity = _normalize(val.embeddings[rows[is_label]]) @ same_class.T
            distances[is_label] = 1 - similarity.max(1)
    return distances


def _normalize(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(norms, MIN_NORM), dtype=np.float32)
