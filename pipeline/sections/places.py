"""Where photos lie on the map: frozen features laid out on two axes, and by likeness where openTSNE is installed."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

MOST = 4000  # points on the map; of more photos the misread ones stay, and every so many of the others
CLOSE = 800  # points laid out by likeness, which takes seconds where the axes take none
FEW = 12  # points of which likeness says nothing
SCALE = 1000  # the map's width and height, in its own units


def lay_out(features: NDArray[np.float32], wrong: NDArray[np.bool_], seed: int) -> dict[int, tuple[int, int]]:
    """Places in [0, 1000] by row of features [n, D], misread rows (bool [n]) first; rows with NaN have none.

    Source: Hotelling 1933 (principal components), through scikit-learn.
    """
    usable = np.asarray(np.isfinite(features).all(axis=1), dtype=np.bool_)
    if usable.sum() < 3 or not np.ptp(features[usable], axis=0).any():
        return {}  # too few, or all alike: there is nothing to lay out
    rows = _chosen(wrong, usable, MOST)
    both = PCA(2, random_state=seed, svd_solver="randomized").fit(features[usable]).transform(features[rows])
    spots = np.rint(SCALE * _stretched(both)).astype(int).tolist()
    return {row: (x, y) for row, (x, y) in zip(rows.tolist(), spots, strict=True)}


def lay_close(
    features: NDArray[np.float32], wrong: NDArray[np.bool_], among: list[int], seed: int
) -> dict[int, tuple[int, int]]:
    """Places in [0, 1000] such that alike photos lie close together: at most `CLOSE` of the rows `among`, as `lay_out`
    chooses them. Empty where openTSNE is not installed, or there are too few.

    Source: van der Maaten and Hinton 2008 (t-SNE), on the first 30 principal components and from the first two,
    through openTSNE.
    """
    if not find_spec("openTSNE") or len(among) < FEW:
        return {}
    from openTSNE import TSNE  # slow to import

    rows = np.asarray(among)[_chosen(wrong[among], np.ones(len(among), np.bool_), CLOSE)]
    axes = PCA(min(30, *features[rows].shape), random_state=seed, svd_solver="randomized").fit_transform(features[rows])
    start = axes[:, :2] / max(float(axes[:, 0].std()), 1e-9) * 1e-4
    steps = {"early_exaggeration_iter": 100, "n_iter": 150}
    ways = {"neighbors": "exact", "negative_gradient_method": "bh", "n_jobs": 1, "random_state": seed}
    made = TSNE(perplexity=min(30, (len(rows) - 1) / 3), initialization=start, **steps, **ways).fit(axes)
    spots = np.rint(SCALE * _stretched(np.asarray(made))).astype(int).tolist()
    return {row: (x, y) for row, (x, y) in zip(rows.tolist(), spots, strict=True)}


def _chosen(wrong: NDArray[np.bool_], usable: NDArray[np.bool_], most: int) -> NDArray[np.intp]:
    bad, good = np.flatnonzero(usable & wrong)[:most], np.flatnonzero(usable & ~wrong)
    step = max(1, -(-len(good) // max(most - len(bad), 1)))
    return np.concatenate([bad, good[::step]])[:most]


def _stretched(both: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each axis from 0 to 1, half a hundredth at each end cut off, so that an odd photo squeezes no other."""
    low, high = np.quantile(both, [0.005, 0.995], axis=0)
    return np.asarray(np.clip((both - low) / np.maximum(high - low, 1e-9), 0, 1), dtype=np.float64)
