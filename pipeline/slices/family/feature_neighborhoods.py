"""Neighborhoods in frozen features as conditions: "looks like image X", at several granularities.

The images X are those nearest to the centers of k-means on all images, and on the images of each
class. No outcome is looked at, and the features never learn from the user's images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from pipeline.domain.rules import Condition
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.rule_admission import measure_cosine_distances
from pipeline.slices.finder_constants import CONSTANTS

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]
# Images whose distances are measured at a time: their features stay in the cache of the processor.
CHUNK_IMAGES = 1024


@dataclass(frozen=True)
class Neighborhood:
    """The images nearest to one image.

    Attributes:
        condition: `near` that image, up to a radius.
        label: the class whose images are clustered; None for all classes.
        is_paired: whether the condition is combined with others.
    """

    condition: Condition
    label: str | None
    is_paired: bool


def _project_features(embeddings: Floats, rows: Rows) -> NDArray[np.float64]:
    """Return unit features of some images in their principal components, [rows, components]."""
    features = np.asarray(embeddings[rows], dtype=np.float64)
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    count = min(CONSTANTS.candidates.max_feature_components, unit.shape[1], len(unit) - 1)
    pca = PCA(count, svd_solver="randomized", random_state=0)
    return np.asarray(pca.fit_transform(unit))


def _find_central_rows(points: NDArray[np.float64], rows: Rows, count: int, seed: int) -> list[int]:
    """Return the rows nearest to the centers of k-means, without repetitions."""
    kmeans = KMeans(count, n_init=1, random_state=seed).fit(points)
    nearest = kmeans.transform(points).argmin(0)
    return sorted({int(rows[index]) for index in nearest})


def _list_centers(
    embeddings: Floats, rows: Rows, counts: tuple[int, ...], min_images: int, seed: int
) -> dict[int, int]:
    """Return the number of clusters of the first granularity at which each row is a center."""
    step = max(1, -(-len(rows) // CONSTANTS.family.max_clustered_images))
    sample = rows[::step]
    usable = [count for count in counts if count * min_images <= len(rows) and count < len(sample)]
    if not usable or embeddings.shape[1] < 2:
        return {}
    points = _project_features(embeddings, sample)
    centers: dict[int, int] = {}
    for count in usable:
        for row in _find_central_rows(points, sample, count, seed):
            centers.setdefault(row, count)
    return centers


def build_neighborhoods(
    val: ValidationSet, min_images: int, seed: int
) -> tuple[list[Neighborhood], dict[str, Floats]]:
    """Return the neighborhoods, and float32 [rows] of cosine distances by image id.

    Args:
        val: the validation set.
        min_images: fewest images of a neighborhood.
        seed: seed of the clusterings.
    """
    constants = CONSTANTS.family
    everything = np.arange(val.image_count)
    parts: list[tuple[str | None, Rows, dict[int, int]]] = [
        (
            None,
            everything,
            _list_centers(val.embeddings, everything, constants.cluster_counts, min_images, seed),
        )
    ]
    for label in _list_large_classes(val, min_images):
        rows = np.flatnonzero(val.frame["label"] == label)
        centers = _list_centers(
            val.embeddings, rows, constants.class_cluster_counts, min_images, seed
        )
        parts.append((label, rows, centers))
    center_rows = sorted({row for _, _, centers in parts for row in centers})
    distances = measure_cosine_distances(val.embeddings, center_rows, CHUNK_IMAGES)
    ids = val.frame["image_id"].astype(str).to_numpy()
    distance_of = dict(zip(ids[center_rows].tolist(), distances, strict=True))
    neighborhoods = []
    for part_label, rows, centers in parts:
        for row, count in centers.items():
            image_id = str(ids[row])
            within = distance_of[image_id][rows]
            neighborhoods += list(_list_radii(image_id, within, part_label, count, min_images))
    return neighborhoods, distance_of


def _list_large_classes(val: ValidationSet, min_images: int) -> list[str]:
    """Return the classes with most images, if each has enough for two neighborhoods."""
    counts = val.frame["label"].astype(str).value_counts()
    large = counts[counts >= 2 * min_images]
    return [str(label) for label in large.index[: CONSTANTS.family.max_clustered_classes]]


def _list_radii(
    image_id: str, distances: Floats, label: str | None, count: int, min_images: int
) -> Iterator[Neighborhood]:
    """Yield neighborhoods from half to twice the size of an average cluster."""
    for factor in CONSTANTS.family.cluster_size_factors:
        share = factor / count
        if share * len(distances) < min_images or share > CONSTANTS.family.max_condition_share:
            continue
        radius = float(np.nanquantile(distances, share))
        is_paired = label is None and factor == 1 and count in CONSTANTS.family.paired_clusters
        yield Neighborhood(Condition(image_id, "near", radius), label, is_paired)
