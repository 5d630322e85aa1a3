"""How typical a image is of a slice: a frozen function of the image, learnt where the slice was proposed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from pipeline.domain.rules import Mask, get_period

Floats = NDArray[np.float64]
MAX_COMPONENTS, MAX_FIT_IMAGES = (
    24,
    20_000,
)  # of the frozen features; images, at most, that they are learnt from
MIN_FAILING_IMAGES = 10  # failing images that a direction is learnt from
MIN_CORE_IMAGES = 40  # images, at least, that stand for a slice


def compute_coordinates(
    frame: pd.DataFrame, embeddings: NDArray[np.float32], fit_mask: Mask
) -> Floats:
    """float [rows, D]: each number of a image as the normal score of its rank among `learn` (bool [rows]), and the
    whitened principal components of its frozen features (of `LEARNT` of these, evenly spaced, where there are more);
    unknown values count as the median."""
    columns = []
    for name in frame.columns[3:]:
        values = frame[name]
        if (
            get_period(name) is None
            and pd.api.types.is_numeric_dtype(values)
            and not pd.api.types.is_bool_dtype(values)
        ):
            known = values.to_numpy(dtype=float, na_value=np.nan)
            columns.append(
                _compute_normal_scores(known, np.sort(known[fit_mask & ~np.isnan(known)]))
            )
    rows = np.flatnonzero(fit_mask)
    rows = rows[:: max(1, -(-len(rows) // MAX_FIT_IMAGES))]
    wide = min(MAX_COMPONENTS, embeddings.shape[1], len(rows) - 1)
    if wide >= 1:
        pca = PCA(wide, whiten=True, svd_solver="randomized", random_state=0).fit(embeddings[rows])
        columns += list(pca.transform(embeddings).T)
    return np.column_stack(columns) if columns else np.zeros((len(frame), 1))


def _compute_normal_scores(values: Floats, sorted_values: Floats) -> Floats:
    """Blom's normal scores of the ranks of `values` among `known`, sorted (Blom 1958)."""
    if not len(sorted_values):
        return np.zeros(len(values))
    rank = (
        np.searchsorted(sorted_values, values, "left")
        + np.searchsorted(sorted_values, values, "right")
    ) / 2
    return np.where(np.isnan(values), 0.0, norm.ppf((rank + 0.375) / (len(sorted_values) + 0.75)))


def score_typicality(
    feature_space: Floats, rule_mask: Mask, is_misclassified: Mask, fit_mask: Mask
) -> Floats:
    """float [rows]: higher is more typical, -inf where the rule does not admit the image.

    The linear discriminant, shrunk (Ledoit and Wolf 2004), of the slice's failing images in `learn` from all images
    there that are right. Fewer than `FEWEST` failing images: nearness to the slice's mean.
    """
    score, failing, right = (
        np.full(len(rule_mask), -np.inf),
        rule_mask & is_misclassified & fit_mask,
        fit_mask & ~is_misclassified,
    )
    if failing.sum() >= MIN_FAILING_IMAGES and right.sum() >= MIN_FAILING_IMAGES:
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=(0.5, 0.5))
        rows = failing | right
        model.fit(feature_space[rows], failing[rows])
        score[rule_mask] = (
            model.decision_function(feature_space[rule_mask]) if rule_mask.any() else []
        )
    elif rule_mask.any():
        center = (
            feature_space[rule_mask & fit_mask].mean(0)
            if (rule_mask & fit_mask).any()
            else feature_space[rule_mask].mean(0)
        )
        score[rule_mask] = -np.linalg.norm(feature_space[rule_mask] - center, axis=1)
    return score


def select_core_images(scores: Floats, halves: NDArray[np.intp]) -> Mask:
    """bool [rows]: in each half of val, the more typical half of the images that are admitted (score above -inf), at
    least `CORE` of them: what a rule admits beside the failures that it was drawn for hides their cause."""
    chosen = np.zeros(len(scores), bool)
    for h in np.unique(halves):
        rows = np.flatnonzero((halves == h) & np.isfinite(scores))
        chosen[
            rows[np.argsort(-scores[rows], kind="stable")][: max(MIN_CORE_IMAGES, len(rows) // 2)]
        ] = True
    return chosen
