"""Images that fail alike and look alike: an error-aware mixture on whitened frozen features and attributes.

Source: Eyuboglu et al. 2022 (Domino): each component explains features, label and prediction together, so that one
gathers images of one look, one class and one error. Here it proposes only: what it gathers is then put as a readable
rule (design rule 1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from pipeline.domain.rules import Mask

Floats = NDArray[np.float64]
OUTPUT_WEIGHT = 3.0  # of label and prediction against one whitened direction
MAX_COMPONENTS = 10  # at most
MAX_FIT_IMAGES = 5000  # images that it is fitted on, all failures among them as far as they go


def fit_error_mixture(
    feature_space: Floats,
    labels: NDArray[np.intp],
    probabilities: Floats,
    is_misclassified: Mask,
    seed: int,
) -> Floats:
    """Responsibilities float64 [n, components] of a mixture over all images, and one for each class that often fails.

    space: [n, D], whitened; truth: class index [n]; shares: the model's probabilities [n, classes]; errors: bool [n].
    """
    joint = np.column_stack(
        [
            feature_space,
            OUTPUT_WEIGHT * np.eye(probabilities.shape[1])[labels],
            OUTPUT_WEIGHT * probabilities,
        ]
    )
    found = [_compute_responsibilities(joint, np.ones(len(labels), bool), is_misclassified, seed)]
    counts = np.bincount(labels[is_misclassified], minlength=probabilities.shape[1])
    often = np.flatnonzero(counts >= max(20, is_misclassified.sum() / 5))
    found += [
        _compute_responsibilities(
            np.column_stack([feature_space, OUTPUT_WEIGHT * probabilities]),
            labels == c,
            is_misclassified,
            seed,
        )
        for c in often
    ]
    return np.hstack(found)


def _compute_responsibilities(
    joint_features: Floats, member_mask: Mask, is_misclassified: Mask, seed: int
) -> Floats:
    """Responsibilities [n, components], 0 outside `of`."""
    rng, rows = np.random.default_rng(seed), np.flatnonzero(member_mask)
    count = min(MAX_COMPONENTS, int((is_misclassified & member_mask).sum()) // 10)
    if count < 2:
        return np.zeros((len(member_mask), 0))
    learn = rng.permutation(rows)[:MAX_FIT_IMAGES]
    failing = np.flatnonzero(is_misclassified & member_mask)
    learn = np.unique(np.r_[learn, rng.permutation(failing)[: MAX_FIT_IMAGES // 4]])
    model = GaussianMixture(
        count, covariance_type="diag", reg_covar=1e-2, max_iter=50, tol=1e-2, random_state=seed
    )
    found = np.zeros((len(member_mask), count))
    found[rows] = model.fit(joint_features[learn]).predict_proba(joint_features[rows])
    return found
