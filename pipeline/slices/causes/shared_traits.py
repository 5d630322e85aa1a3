"""Traits that the failing images of a slice without a cause share: a description, no evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.attribute_values import get_period
from pipeline.domain.rules import Mask
from pipeline.domain.slice_traits import (
    ClassNeighborsTrait,
    ConfusionTrait,
    MeasureTrait,
    SliceNeighborsTrait,
    SliceTrait,
    ValueTrait,
)
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.training_distance import TrainingReference, find_training_distance
from pipeline.slices.finder_constants import CONSTANTS

Floats = NDArray[np.float64]
MIN_NORM = 1e-9  # keeps the cosine of an embedding of zeros defined
FIRST_CONDITION_COLUMN = 3  # the frame starts with image_id, label and group


def find_shared_traits(
    val: ValidationSet,
    slice_mask: Mask,
    reported_columns: set[str],
    seed: int,
    training: TrainingReference | None = None,
) -> list[SliceTrait]:
    """Return what the failing images of a slice share.

    These are the classes that they confuse, their nearest neighbors, their distance from the
    training images, and the measures and metadata values that distinguish them from other images of
    their classes.

    Args:
        val: the validation set.
        slice_mask: whether each image is in the slice, bool [rows].
        reported_columns: columns that the slice's rule already reports.
        seed: seed of the sample of failing images.
        training: the training images; None if they are unknown.

    Returns:
        The traits in this order; none if too few images of the slice fail.
    """
    failing = slice_mask & val.is_misclassified
    if failing.sum() < CONSTANTS.causes.min_described_failures:
        return []
    traits: list[SliceTrait] = [_find_confusion(val, failing)]
    if val.embeddings.shape[1]:
        shuffled = np.random.default_rng(seed).permutation(np.flatnonzero(failing))
        rows = np.sort(shuffled[: CONSTANTS.causes.max_described_failures])
        traits += _find_neighbors(val, slice_mask, rows)
        if training and (distance := find_training_distance(val, slice_mask, training, seed)):
            traits.append(distance)
    columns = [
        name for name in val.frame.columns[FIRST_CONDITION_COLUMN:] if name not in reported_columns
    ]
    traits += _find_measures(val, slice_mask, failing, columns)
    traits += _find_values(val, slice_mask, failing, columns)
    return traits


def _find_confusion(val: ValidationSet, failing_mask: Mask) -> ConfusionTrait:
    """Return the most frequent confusion and its count."""
    labels = val.labels[failing_mask].tolist()
    predictions = val.predictions[failing_mask].tolist()
    (label, prediction), count = Counter(zip(labels, predictions, strict=True)).most_common(1)[0]
    return ConfusionTrait(
        val.class_names[label], val.class_names[prediction], count, int(failing_mask.sum())
    )


def _find_neighbors(
    val: ValidationSet, slice_mask: Mask, failing_rows: NDArray[np.intp]
) -> Iterator[SliceTrait]:
    """Yield the slice and the class of the failing images' nearest neighbors, if they are unusual.

    Neighbors are the most similar images of other groups, by cosine in frozen features.
    """
    norms = np.maximum(np.linalg.norm(val.embeddings, axis=1, keepdims=True), MIN_NORM)
    unit = val.embeddings / norms
    similarity = unit[failing_rows] @ unit.T
    group = pd.factorize(val.groups)[0]
    similarity[group[failing_rows][:, None] == group[None]] = -np.inf
    similarity = np.where(np.isfinite(similarity), similarity, -np.inf)
    has_neighbor = np.isfinite(similarity).any(1)
    share, expected = 0.0, float(slice_mask.mean())
    if has_neighbor.any():
        share = float(slice_mask[similarity[has_neighbor].argmax(1)].mean())
    if share >= expected + CONSTANTS.causes.min_share_difference:
        yield SliceNeighborsTrait(share, expected)
    similarity[val.labels[failing_rows][:, None] == val.labels[None]] = -np.inf
    yield from _find_neighbor_class(val, failing_rows, similarity)


def _find_neighbor_class(
    val: ValidationSet, failing_rows: NDArray[np.intp], similarity: NDArray[np.floating]
) -> Iterator[ClassNeighborsTrait]:
    """Yield the other class that the failing images resemble most, if it is unusual.

    Args:
        val: the validation set.
        failing_rows: rows of the failing images, [failing].
        similarity: float [failing, rows], -inf for images of the same group or class.
    """
    has_neighbor = np.isfinite(similarity).any(1)
    if not has_neighbor.any() or len(val.class_names) < 3:
        return
    neighbor_labels = val.labels[similarity[has_neighbor].argmax(1)]
    label, count = Counter(neighbor_labels.tolist()).most_common(1)[0]
    is_other_class = val.labels[None] != val.labels[failing_rows[has_neighbor]][:, None]
    share = count / int(has_neighbor.sum())
    expected = float((is_other_class & (val.labels == label)).sum() / is_other_class.sum())
    if share >= expected + CONSTANTS.causes.min_share_difference:
        yield ClassNeighborsTrait(val.class_names[label], share, expected)


def _compare_to_class(
    values: Floats, labels: NDArray[np.intp], slice_mask: Mask, failing_mask: Mask
) -> tuple[float, float]:
    """Return the mean difference of the failing images from their classes outside the slice.

    Args:
        values: float [rows], NaN if unknown.
        labels: class index of each image, [rows].
        slice_mask: whether each image is in the slice, bool [rows].
        failing_mask: whether it is a failing image of the slice, bool [rows].

    Returns:
        The difference and the standard deviation within classes outside; NaN without images to
        compare with.
    """
    is_known = np.isfinite(values)
    outside = is_known & ~slice_mask
    class_count = int(labels.max()) + 1
    counts = np.bincount(labels[outside], minlength=class_count)
    sums = np.bincount(labels[outside], values[outside], minlength=class_count)
    means = sums / np.maximum(counts, 1)
    compared = is_known & failing_mask & (counts[labels] > 0)
    degrees_of_freedom = int(counts.sum()) - int((counts > 0).sum())
    if not compared.any() or degrees_of_freedom < 1:
        return np.nan, np.nan
    differences = values - means[labels]
    deviation = float(np.sqrt((differences[outside] ** 2).sum() / degrees_of_freedom))
    return float(differences[compared].mean()), deviation


def _is_measure(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _find_measures(
    val: ValidationSet, slice_mask: Mask, failing_mask: Mask, columns: list[str]
) -> list[MeasureTrait]:
    """Return the numbers that distinguish the failing images from their classes, largest first."""
    traits = []
    for name in columns:
        column = val.frame[name]
        if get_period(name) is not None or not _is_measure(column):
            continue
        values = column.to_numpy(dtype=float, na_value=np.nan)
        difference, spread = _compare_to_class(values, val.labels, slice_mask, failing_mask)
        if spread > 0 and abs(difference / spread) >= CONSTANTS.causes.min_deviation:
            traits.append(MeasureTrait(name, difference / spread))
    traits.sort(key=lambda trait: -abs(trait.deviation))
    return traits[: CONSTANTS.causes.max_reported_measures]


def _find_values(
    val: ValidationSet, slice_mask: Mask, failing_mask: Mask, columns: list[str]
) -> Iterator[ValueTrait]:
    """Yield the metadata values that are more frequent among failing images than in their class."""
    for name in columns:
        column = val.frame[name]
        if _is_measure(column):
            continue
        counts = column[failing_mask].dropna().astype("str").value_counts()
        if not len(counts):
            continue
        value = counts.index[0]
        has_value = np.asarray(column.astype("str") == str(value), dtype=np.float64)
        excess, _ = _compare_to_class(has_value, val.labels, slice_mask, failing_mask)
        if excess >= CONSTANTS.causes.min_share_difference:
            share = float(has_value[failing_mask].mean())
            yield ValueTrait(name, str(value), share, max(share - excess, 0.0))
