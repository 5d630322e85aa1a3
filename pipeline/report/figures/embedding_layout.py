"""Positions of images on the embedding map: frozen features by PCA and, with openTSNE, by t-SNE."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

MapPositions = dict[int, tuple[int, int]]
"""Position (x, y) on the map, each in [0, MAP_SIZE], by row of the features."""

# More points make the page slow to draw. All misclassified images stay, and every k-th of the rest.
MAX_MAP_POINTS = 4000
# t-SNE takes seconds at this size, where PCA takes milliseconds at any.
MAX_TSNE_POINTS = 800
MIN_TSNE_POINTS = 12  # fewer points have no neighborhoods to show
MAP_SIZE = 1000  # width and height of the map in its own units
CLIPPED_QUANTILE = (
    0.005  # cut off at both ends of an axis, so that outliers do not squeeze the rest
)

# openTSNE's own optimizer settings for small data; the iterations suffice for 800 points.
_TSNE_COMPONENTS = 30
_TSNE_PERPLEXITY = 30
_TSNE_INITIAL_STD = 1e-4
_TSNE_EARLY_ITERATIONS = 100
_TSNE_ITERATIONS = 150


def compute_pca_positions(
    features: NDArray[np.float32], is_misclassified: NDArray[np.bool_], seed: int
) -> MapPositions:
    """Return positions on two principal components; rows with NaN have none.

    Source: Hotelling 1933 (principal components), through scikit-learn.

    Args:
        features: [n, D].
        is_misclassified: bool [n]; these rows are kept first if there are too many.
        seed: seed of the randomized solver.

    Returns:
        Positions by row. Empty for fewer than three usable rows, or if all of them are equal.
    """
    is_usable = np.asarray(np.isfinite(features).all(axis=1), dtype=np.bool_)
    if is_usable.sum() < 3 or not np.ptp(features[is_usable], axis=0).any():
        return {}
    rows = _choose_rows(is_misclassified, is_usable, MAX_MAP_POINTS)
    pca = PCA(2, random_state=seed, svd_solver="randomized").fit(features[is_usable])
    return _build_positions(rows, pca.transform(features[rows]))


def compute_tsne_positions(
    features: NDArray[np.float32],
    is_misclassified: NDArray[np.bool_],
    map_rows: list[int],
    seed: int,
) -> MapPositions:
    """Return positions that keep neighbors in the features close together.

    Source: van der Maaten and Hinton 2008 (t-SNE), on the first 30 principal components,
    initialized with the first two, through openTSNE.

    Args:
        features: [n, D].
        is_misclassified: bool [n]; these rows are kept first if there are too many.
        map_rows: rows that are on the map; at most `MAX_TSNE_POINTS` of them are placed.
        seed: seed of PCA and t-SNE.

    Returns:
        Positions by row. Empty without openTSNE, or for fewer than `MIN_TSNE_POINTS` rows.
    """
    if not find_spec("openTSNE") or len(map_rows) < MIN_TSNE_POINTS:
        return {}
    from openTSNE import TSNE  # slow to import

    chosen = _choose_rows(
        is_misclassified[map_rows], np.ones(len(map_rows), np.bool_), MAX_TSNE_POINTS
    )
    rows = np.asarray(map_rows)[chosen]
    pca = PCA(
        min(_TSNE_COMPONENTS, *features[rows].shape), random_state=seed, svd_solver="randomized"
    )
    components = pca.fit_transform(features[rows])
    scale = max(float(components[:, 0].std()), 1e-9)
    embedding = TSNE(
        perplexity=min(_TSNE_PERPLEXITY, (len(rows) - 1) / 3),
        initialization=components[:, :2] / scale * _TSNE_INITIAL_STD,
        early_exaggeration_iter=_TSNE_EARLY_ITERATIONS,
        n_iter=_TSNE_ITERATIONS,
        neighbors="exact",
        negative_gradient_method="bh",
        n_jobs=1,
        random_state=seed,
    ).fit(components)
    return _build_positions(rows, np.asarray(embedding))


def _choose_rows(
    is_misclassified: NDArray[np.bool_], is_usable: NDArray[np.bool_], max_rows: int
) -> NDArray[np.intp]:
    """Return the misclassified rows, then every k-th of the other usable ones."""
    failures = np.flatnonzero(is_usable & is_misclassified)[:max_rows]
    others = np.flatnonzero(is_usable & ~is_misclassified)
    step = max(1, -(-len(others) // max(max_rows - len(failures), 1)))
    return np.concatenate([failures, others[::step]])[:max_rows]


def _build_positions(rows: NDArray[np.intp], coordinates: NDArray[np.float32]) -> MapPositions:
    scaled = np.rint(MAP_SIZE * _scale_axes(coordinates)).astype(int).tolist()
    return {row: (x, y) for row, (x, y) in zip(rows.tolist(), scaled, strict=True)}


def _scale_axes(coordinates: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return each axis scaled to [0, 1], clipped at its outer quantiles."""
    low, high = np.quantile(coordinates, [CLIPPED_QUANTILE, 1 - CLIPPED_QUANTILE], axis=0)
    scaled = np.clip((coordinates - low) / np.maximum(high - low, 1e-9), 0, 1)
    return np.asarray(scaled, dtype=np.float64)
