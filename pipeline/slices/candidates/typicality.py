"""How typical an image is of a slice: a frozen function, fitted on the proposing images."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from pipeline.domain.attribute_values import get_period
from pipeline.domain.rules import Mask
from pipeline.slices.finder_constants import CONSTANTS

Floats = NDArray[np.float64]


def compute_coordinates(
    frame: pd.DataFrame, embeddings: NDArray[np.float32], fit_mask: Mask
) -> Floats:
    """Return the coordinates for mixtures and discriminants.

    They are the normal score of each number that is not periodic (an unknown value counts as the
    median) and the whitened principal components of the frozen features.

    Args:
        frame: `image_id`, `label`, `group`, then the columns that a rule may test.
        embeddings: float32 [rows, features].
        fit_mask: bool [rows], the images whose ranks and components are used.

    Returns:
        float64 [rows, coordinates]; one column of zeros if there is no number and no feature.
    """
    columns = []
    for name in frame.columns[3:]:
        values = frame[name]
        is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        if is_number and get_period(name) is None:
            numbers = values.to_numpy(dtype=float, na_value=np.nan)
            known = np.sort(numbers[fit_mask & ~np.isnan(numbers)])
            columns.append(_compute_normal_scores(numbers, known))
    columns += _compute_components(embeddings, np.flatnonzero(fit_mask))
    return np.column_stack(columns) if columns else np.zeros((len(frame), 1))


def _compute_components(
    embeddings: NDArray[np.float32], fit_rows: NDArray[np.intp]
) -> list[Floats]:
    """Return the whitened principal components, each [rows], fitted on evenly spaced rows."""
    constants = CONSTANTS.candidates
    step = max(1, -(-len(fit_rows) // constants.max_feature_images))
    fit_rows = fit_rows[::step]
    count = min(constants.max_feature_components, embeddings.shape[1], len(fit_rows) - 1)
    if count < 1:
        return []
    pca = PCA(count, whiten=True, svd_solver="randomized", random_state=0)
    return list(pca.fit(embeddings[fit_rows]).transform(embeddings).T)


def _compute_normal_scores(values: Floats, sorted_values: Floats) -> Floats:
    """Return the normal scores of the ranks of `values` among `sorted_values` (Blom 1958)."""
    if not len(sorted_values):
        return np.zeros(len(values))
    left = np.searchsorted(sorted_values, values, "left")
    right = np.searchsorted(sorted_values, values, "right")
    rank = (left + right) / 2
    return np.where(np.isnan(values), 0.0, norm.ppf((rank + 0.375) / (len(sorted_values) + 0.75)))


def score_typicality(
    feature_space: Floats, rule_mask: Mask, is_misclassified: Mask, fit_mask: Mask
) -> Floats:
    """Return how typical each image is of the failures that a rule admits.

    The score is the linear discriminant, with shrinkage (Ledoit and Wolf 2004), of the rule's
    failing images from all correct images, both among the fitted ones. With fewer than
    `min_discriminant_images` of either, it is the nearness to the mean of the admitted images.

    Args:
        feature_space: float64 [rows, coordinates], see `compute_coordinates`.
        rule_mask: bool [rows], the images that the rule admits.
        is_misclassified: bool [rows]; read for fitted images only.
        fit_mask: bool [rows].

    Returns:
        float64 [rows], higher is more typical; -inf for images that the rule does not admit.
    """
    scores = np.full(len(rule_mask), -np.inf)
    if not rule_mask.any():
        return scores
    failing = rule_mask & is_misclassified & fit_mask
    correct = fit_mask & ~is_misclassified
    admitted = feature_space[rule_mask]
    if min(failing.sum(), correct.sum()) >= CONSTANTS.candidates.min_discriminant_images:
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=(0.5, 0.5))
        rows = failing | correct
        model.fit(feature_space[rows], failing[rows])
        scores[rule_mask] = model.decision_function(admitted)
        return scores
    fitted = rule_mask & fit_mask
    center = (feature_space[fitted] if fitted.any() else admitted).mean(0)
    scores[rule_mask] = -np.linalg.norm(admitted - center, axis=1)
    return scores


def select_core_images(scores: Floats, halves: NDArray[np.intp]) -> Mask:
    """Return bool [rows]: in each half, the more typical half of the admitted images.

    At least `min_core_images` are selected. A rule admits images beside the failures that it was
    drawn for, and these hide the cause of the failures.

    Args:
        scores: float64 [rows]; -inf for images that are not admitted.
        halves: the half of each row.
    """
    selected = np.zeros(len(scores), bool)
    for half in np.unique(halves):
        rows = np.flatnonzero((halves == half) & np.isfinite(scores))
        by_score = rows[np.argsort(-scores[rows], kind="stable")]
        count = max(CONSTANTS.candidates.min_core_images, len(rows) // 2)
        selected[by_score[:count]] = True
    return selected
