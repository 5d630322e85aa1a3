"""How typical a photo is of a slice: a frozen function of the photo, learnt where the slice was proposed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from pipeline.slicing.rules import Mask, period

Floats = NDArray[np.float64]
COMPONENTS, LEARNT = 24, 20_000  # of the frozen features; photos, at most, that they are learnt from
FEWEST = 10  # failing photos that a direction is learnt from
CORE = 40  # photos, at least, that stand for a slice


def coordinates(frame: pd.DataFrame, embeddings: NDArray[np.float32], learn: Mask) -> Floats:
    """float [rows, D]: each number of a photo as the normal score of its rank among `learn` (bool [rows]), and the
    whitened principal components of its frozen features (of `LEARNT` of these, evenly spaced, where there are more);
    unknown values count as the median."""
    columns = []
    for name in frame.columns[3:]:
        values = frame[name]
        if period(name) is None and pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            known = values.to_numpy(dtype=float, na_value=np.nan)
            columns.append(_normal_score(known, np.sort(known[learn & ~np.isnan(known)])))
    rows = np.flatnonzero(learn)
    rows = rows[:: max(1, -(-len(rows) // LEARNT))]
    wide = min(COMPONENTS, embeddings.shape[1], len(rows) - 1)
    if wide >= 1:
        pca = PCA(wide, whiten=True, svd_solver="randomized", random_state=0).fit(embeddings[rows])
        columns += list(pca.transform(embeddings).T)
    return np.column_stack(columns) if columns else np.zeros((len(frame), 1))


def _normal_score(values: Floats, known: Floats) -> Floats:
    """Blom's normal scores of the ranks of `values` among `known`, sorted (Blom 1958)."""
    if not len(known):
        return np.zeros(len(values))
    rank = (np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")) / 2
    return np.where(np.isnan(values), 0.0, norm.ppf((rank + 0.375) / (len(known) + 0.75)))


def typicality(space: Floats, mask: Mask, errors: Mask, learn: Mask) -> Floats:
    """float [rows]: higher is more typical, -inf where the rule does not admit the photo.

    The linear discriminant, shrunk (Ledoit and Wolf 2004), of the slice's failing photos in `learn` from all photos
    there that are right. Fewer than `FEWEST` failing photos: nearness to the slice's mean.
    """
    score, failing, right = np.full(len(mask), -np.inf), mask & errors & learn, learn & ~errors
    if failing.sum() >= FEWEST and right.sum() >= FEWEST:
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=(0.5, 0.5))
        rows = failing | right
        model.fit(space[rows], failing[rows])
        score[mask] = model.decision_function(space[mask]) if mask.any() else []
    elif mask.any():
        centre = space[mask & learn].mean(0) if (mask & learn).any() else space[mask].mean(0)
        score[mask] = -np.linalg.norm(space[mask] - centre, axis=1)
    return score


def core(score: Floats, half: NDArray[np.intp]) -> Mask:
    """bool [rows]: in each half of val, the more typical half of the photos that are admitted (score above -inf), at
    least `CORE` of them: what a rule admits beside the failures that it was drawn for hides their cause."""
    chosen = np.zeros(len(score), bool)
    for h in np.unique(half):
        rows = np.flatnonzero((half == h) & np.isfinite(score))
        chosen[rows[np.argsort(-score[rows], kind="stable")][: max(CORE, len(rows) // 2)]] = True
    return chosen
