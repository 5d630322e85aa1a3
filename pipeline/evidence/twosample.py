"""Can two sets of rows be told apart? A classifier two-sample test."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

FOLDS = 5
UNKNOWN = 1.0
"""The answer where too few groups are there to hold any out: nothing then shows that the two sets are alike."""


def _deal(groups: NDArray[np.str_], side: NDArray[np.bool_], folds: int, seed: int) -> NDArray[np.intp]:
    """A fold for each row [n]: whole groups, dealt out in turn, those of either side alone first."""
    names, inverse = np.unique(groups, return_inverse=True)
    inverse = inverse.reshape(-1)
    share = np.bincount(inverse, side) / np.bincount(inverse)
    order = np.lexsort((np.random.default_rng(seed).random(len(names)), share))
    fold = np.empty(len(names), dtype=np.intp)
    fold[order] = np.arange(len(names)) % folds
    return fold[inverse]


def auc(a: ArrayLike, b: ArrayLike, groups_a: ArrayLike, groups_b: ArrayLike, seed: int = 0) -> float:
    """Held-out area under the ROC curve of telling rows of b from rows of a; .5 where they are alike.

    a: float [n, k], b: float [m, k], NaN where unknown (the median is put in); groups [n], [m]: a group is held
    out whole, also where both sides have it. Logistic regression on standardised quadratic terms, at most five
    folds, the mean of their areas. `UNKNOWN` below two groups on a side or without any known column.
    Source: Lopez-Paz and Oquab 2017 (classifier two-sample tests).
    """
    x = np.vstack([np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)])
    side = np.repeat([False, True], [len(np.asarray(a)), len(np.asarray(b))])
    groups = np.concatenate([np.asarray(groups_a).astype(str), np.asarray(groups_b).astype(str)])
    x = x[:, ~np.isnan(x).all(0)]
    folds = min(FOLDS, len(np.unique(groups[~side])), len(np.unique(groups[side])))
    if folds < 2 or not x.shape[1]:
        return UNKNOWN
    fold = _deal(groups, side, folds, seed)
    scored = [_held_out(x, side, fold == k) for k in range(folds)]
    areas = [s for s in scored if s is not None]
    return float(np.average([s[0] for s in areas], weights=[s[1] for s in areas])) if areas else UNKNOWN


def _held_out(x: NDArray[np.float64], side: NDArray[np.bool_], out: NDArray[np.bool_]) -> tuple[float, int] | None:
    """The area on the rows held out and its weight (pairs); None where a side is missing on either part."""
    if len(np.unique(side[out])) < 2 or len(np.unique(side[~out])) < 2:
        return None
    model = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        PolynomialFeatures(2, include_bias=False),
        StandardScaler(),
        LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000, tol=1e-3),
    )
    model.fit(x[~out], side[~out])
    score = model.decision_function(x[out])
    return float(roc_auc_score(side[out], score)), int(side[out].sum() * (~side[out]).sum())
