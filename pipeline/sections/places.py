"""Where photos lie on the map: frozen features laid out on two axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

MOST = 4000  # points on the map; of more photos the misread ones stay, and every so many of the others
SCALE = 1000  # the map's width and height, in its own units


def lay_out(features: NDArray[np.float32], wrong: NDArray[np.bool_], seed: int) -> dict[int, tuple[int, int]]:
    """Places in [0, 1000] by row of features [n, D], misread rows (bool [n]) first; rows with NaN have none.

    Source: Hotelling 1933 (principal components), through scikit-learn.
    """
    usable = np.asarray(np.isfinite(features).all(axis=1), dtype=np.bool_)
    if usable.sum() < 3 or not np.ptp(features[usable], axis=0).any():
        return {}  # too few, or all alike: there is nothing to lay out
    rows = _chosen(wrong, usable)
    both = PCA(2, random_state=seed, svd_solver="randomized").fit(features[usable]).transform(features[rows])
    spots = np.rint(SCALE * _stretched(both)).astype(int).tolist()
    return {row: (x, y) for row, (x, y) in zip(rows.tolist(), spots, strict=True)}


def _chosen(wrong: NDArray[np.bool_], usable: NDArray[np.bool_]) -> NDArray[np.intp]:
    bad, good = np.flatnonzero(usable & wrong)[:MOST], np.flatnonzero(usable & ~wrong)
    step = max(1, -(-len(good) // max(MOST - len(bad), 1)))
    return np.concatenate([bad, good[::step]])[:MOST]


def _stretched(both: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each axis from 0 to 1, half a hundredth at each end cut off, so that an odd photo squeezes no other."""
    low, high = np.quantile(both, [0.005, 0.995], axis=0)
    return np.asarray(np.clip((both - low) / np.maximum(high - low, 1e-9), 0, 1), dtype=np.float64)
