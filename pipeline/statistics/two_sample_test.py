"""Classifier two-sample test: can a classifier separate two sets of rows?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

MAX_FOLD_COUNT = 5
UNKNOWN_AUC = 1.0
"""The AUC if too few groups exist to hold any out: nothing shows that the sets resemble each other.
"""


def _assign_folds(
    groups: NDArray[np.str_], is_second_set: NDArray[np.bool_], fold_count: int, seed: int
) -> NDArray[np.intp]:
    """Return a fold for each row [n]: whole groups in turn, groups of a single side first."""
    names, inverse = np.unique(groups, return_inverse=True)
    inverse = inverse.reshape(-1)
    share = np.bincount(inverse, is_second_set) / np.bincount(inverse)
    order = np.lexsort((np.random.default_rng(seed).random(len(names)), share))
    fold = np.empty(len(names), dtype=np.intp)
    fold[order] = np.arange(len(names)) % fold_count
    return fold[inverse]


def compute_two_sample_auc(
    first_rows: ArrayLike,
    second_rows: ArrayLike,
    first_groups: ArrayLike,
    second_groups: ArrayLike,
    seed: int = 0,
) -> float:
    """Return the held-out ROC AUC of separating two sets of rows; .5 if they have one distribution.

    A logistic regression on standardized quadratic terms is scored by at most five folds of whole
    groups. Unknown values are replaced by the median.

    Source: Lopez-Paz and Oquab 2017 (classifier two-sample tests).

    Args:
        first_rows: float [n, k], NaN if unknown.
        second_rows: float [m, k].
        first_groups: the group of each first row, [n].
        second_groups: the group of each second row, [m]; a group of both sets is held out whole.
        seed: seed of the folds.

    Returns:
        `UNKNOWN_AUC` with fewer than two groups on a side, or without any known column.
    """
    x = np.vstack(
        [np.asarray(first_rows, dtype=np.float64), np.asarray(second_rows, dtype=np.float64)]
    )
    side = np.repeat([False, True], [len(np.asarray(first_rows)), len(np.asarray(second_rows))])
    groups = np.concatenate(
        [np.asarray(first_groups).astype(str), np.asarray(second_groups).astype(str)]
    )
    x = x[:, ~np.isnan(x).all(0)]
    folds = min(MAX_FOLD_COUNT, len(np.unique(groups[~side])), len(np.unique(groups[side])))
    if folds < 2 or not x.shape[1]:
        return UNKNOWN_AUC
    fold = _assign_folds(groups, side, folds, seed)
    scored = [_score_fold(x, side, fold == k) for k in range(folds)]
    areas = [s for s in scored if s is not None]
    return (
        float(np.average([s[0] for s in areas], weights=[s[1] for s in areas]))
        if areas
        else UNKNOWN_AUC
    )


def _score_fold(
    features: NDArray[np.float64], is_second_set: NDArray[np.bool_], is_held_out: NDArray[np.bool_]
) -> tuple[float, int] | None:
    """Return the AUC on the held-out rows and its weight in pairs; None if a side is missing."""
    if (
        len(np.unique(is_second_set[is_held_out])) < 2
        or len(np.unique(is_second_set[~is_held_out])) < 2
    ):
        return None
    model = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        PolynomialFeatures(2, include_bias=False),
        StandardScaler(),
        LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000, tol=1e-3),
    )
    model.fit(features[~is_held_out], is_second_set[~is_held_out])
    score = model.decision_function(features[is_held_out])
    return float(roc_auc_score(is_second_set[is_held_out], score)), int(
        is_second_set[is_held_out].sum() * (~is_second_set[is_held_out]).sum()
    )
