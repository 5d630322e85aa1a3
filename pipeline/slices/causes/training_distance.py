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


@dataclass(frozen=True)
class TrainingReference:
    """The training images that failing images are compared with.

    Attributes:
        image_ids: id of each image, [n].
        embeddings: float32 [n, features], from frozen packaged weights.
        labels: intp [n], class index of each image; -1 for a class that the model does not know.
    """

    image_ids: NDArray[np.str_]
    embeddings: NDArray[np.float32]
    labels: NDArray[np.intp]

    def count_by_class(self, class_count: int) -> NDArray[np.intp]:
        """Return intp [classes]: the number of images of each class."""
        return np.bincount(self.labels[self.labels >= 0], minlength=class_count)


def find_training_distance(
    val: ValidationSet, slice_mask: Mask, training: TrainingReference, seed: int
) -> TrainingDistanceTrait | None:
    """Return how many failing images of a slice are unlike the training images of their class.

    An image is as near as usual if its nearest training image of its class is nearer than that of
    most images outside the slice, correct or not (`CauseConstants.usual_distance_quantile`).

    Args:
        val: the validation set.
        slice_mask: bool [rows], whether each image is in the slice.
        training: the training images.
        seed: seed of the samples.

    Returns:
        None if the share is not unusual, or if images to compare with are missing.
    """
    failing = _sample_rows(slice_mask & val.is_misclassified, seed)
    outside = ~slice_mask & np.isin(val.labels, val.labels[failing])
    others = _sample_rows(outside, seed)
    other_distances, _ = _measure_nearest(val, others, training)
    distances, nearest = _measure_nearest(val, failing, training)
    is_known = np.isfinite(distances)
    other_distances = other_distances[np.isfinite(other_distances)]
    if not is_known.any() or not len(other_distances):
        return None
    limit = float(np.quantile(other_distances, CONSTANTS.causes.usual_distance_quantile))
    share = float((distances[is_known] > limit).mean())
    expected = float((other_distances > limit).mean())
    if share < expected + CONSTANTS.causes.min_share_difference:
        return None
    counts = training.count_by_class(len(val.class_names))
    farthest = nearest[is_known][np.argsort(-distances[is_known], kind="stable")]
    shown = dict.fromkeys(training.image_ids[farthest].tolist())
    return TrainingDistanceTrait(
        share,
        expected,
        int(np.median(counts[val.labels[failing]])),
        tuple(shown)[: CONSTANTS.causes.max_nearest_images],
    )


def _sample_rows(mask: Mask, seed: int) -> NDArray[np.intp]:
    shuffled = np.random.default_rng(seed).permutation(np.flatnonzero(mask))
    return np.sort(shuffled[: CONSTANTS.causes.max_described_failures])


def _measure_nearest(
    val: ValidationSet, rows: NDArray[np.intp], training: TrainingReference
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the cosine distance to the nearest training image of the same class, and its place.

    Both have the length of `rows`; the distance is NaN if training lacks the class.
    """
    distances = np.full(len(rows), np.nan)
    nearest = np.zeros(len(rows), np.intp)
    for label in np.unique(val.labels[rows]):
        own = np.flatnonzero(val.labels[rows] == label)
        places = np.flatnonzero(training.labels == label)
        if len(places):
            known = _normalize(training.embeddings[places])
            similarity = _normalize(val.embeddings[rows[own]]) @ known.T
            distances[own] = 1 - similarity.max(1)
            nearest[own] = places[similarity.argmax(1)]
    return distances, nearest


def _normalize(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(norms, MIN_NORM), dtype=np.float32)
