"""Where images lie on the map: frozen features laid out on two axes, and by likeness where openTSNE is installed."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

MAX_MAP_POINTS = (
    4000  # points on the map; of more images the misread ones stay, and every so many of the others
)
MAX_TSNE_POINTS = 800  # points laid out by likeness, which takes seconds where the axes take none
MIN_TSNE_POINTS = 12  # points of which likeness says nothing
MAP_SIZE = 1000  # the map's width and height, in its own units


def compute_pca_positions(
    features: NDArray[np.float32], is_misclassified: NDArray[np.bool_], seed: int
) -> dict[int, tuple[int, int]]:
    """Places in [0, 1000] by row of features [n, D], misread rows (bool [n]) first; rows with NaN have none.

    Source: Hotelling 1933 (principal components), through scikit-learn.
    """
    usable = np.asarray(np.isfinite(features).all(axis=1), dtype=np.bool_)
    if usable.sum() < 3 or not np.ptp(features[usable], axis=0).any():
        return {}  # too few, or all alike: there is nothing to lay out
    rows = _choose_rows(is_misclassified, usable, MAX_MAP_POINTS)
    both = (
        PCA(2, random_state=seed, svd_solver="randomized")
        .fit(features[usable])
        .transform(features[rows])
    )
    spots = np.rint(MAP_SIZE * _scale_axes(both)).astype(int).tolist()
    return {row: (x, y) for row, (x, y) in zip(rows.tolist(), spots, strict=True)}


def compute_tsne_positions(
    features: NDArray[np.float32],
    is_misclassified: NDArray[np.bool_],
    map_rows: list[int],
    seed: int,
) -> dict[int, tuple[int, int]]:
    """Places in [0, 1000] such that alike images lie close together: at most `CLOSE` of the rows `among`, as `lay_out`
    chooses them. Empty where openTSNE is not installed, or there are too few.

    Source: van der Maaten and Hinton 2008 (t-SNE), on the first 30 principal components and from the first two,
    through openTSNE.
    """
    if not find_spec("openTSNE") or len(map_rows) < MIN_TSNE_POINTS:
        return {}
    from openTSNE import TSNE  # slow to import

    rows = np.asarray(map_rows)[
        _choose_rows(is_misclassified[map_rows], np.ones(len(map_rows), np.bool_), MAX_TSNE_POINTS)
    ]
    axes = PCA(
        min(30, *features[rows].shape), random_state=seed, svd_solver="randomized"
    ).fit_transform(features[rows])
    start = axes[:, :2] / max(float(axes[:, 0].std()), 1e-9) * 1e-4
    steps = {"early_exaggeration_iter": 100, "n_iter": 150}
    ways = {
        "neighbors": "exact",
        "negative_gradient_method": "bh",
        "n_jobs": 1,
        "random_state": seed,
    }
    made = TSNE(perplexity=min(30, (len(rows) - 1) / 3), initialization=start, **steps, **ways).fit(
        axes
    )
    spots = np.rint(MAP_SIZE * _scale_axes(np.asarray(made))).astype(int).tolist()
    return {row: (x, y) for row, (x, y) in zip(rows.tolist(), spots, strict=True)}


def _choose_rows(
    is_misclassified: NDArray[np.bool_], is_usable: NDArray[np.bool_], max_rows: int
) -> NDArray[np.intp]:
    bad, good = (
        np.flatnonzero(is_usable & is_misclassified)[:max_rows],
        np.flatnonzero(is_usable & ~is_misclassified),
    )
    step = max(1, -(-len(good) // max(max_rows - len(bad), 1)))
    return np.concatenate([bad, good[::step]])[:max_rows]


def _scale_axes(coordinates: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each axis from 0 to 1, half a hundredth at each end cut off, so that an odd image squeezes no other."""
    low, high = np.quantile(coordinates, [0.005, 0.995], axis=0)
    return np.asarray(
        np.clip((coordinates - low) / np.maximum(high - low, 1e-9), 0, 1), dtype=np.float64
    )
