"""An error-aware mixture on whitened frozen features and attributes.

Source: Domino (Eyuboglu et al. 2022). Each component explains features, label and prediction
together, so it gathers images that look similar and have one class and one error. Here it only
proposes: what a component gathers is then described by a readable rule, because membership must not
depend on the prediction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from pipeline.domain.rules import Mask
from pipeline.slices.finder_constants import CONSTANTS

Floats = NDArray[np.float64]


def fit_error_mixture(
    feature_space: Floats,
    labels: NDArray[np.intp],
    probabilities: Floats,
    is_misclassified: Mask,
    seed: int,
) -> Floats:
    """Return the responsibilities of a mixture over all images and of one per often failing class.

    Args:
        feature_space: float64 [n, dimensions], whitened.
        labels: class index [n].
        probabilities: float64 [n, classes], the model's.
        is_misclassified: bool [n].
        seed: seed of the fits.

    Returns:
        float64 [n, components]; 0 for images outside the class of a component.
    """
    constants = CONSTANTS.candidates
    class_count = probabilities.shape[1]
    outputs = constants.mixture_output_weight * probabilities
    label_columns = constants.mixture_output_weight * np.eye(class_count)[labels]
    everything = np.ones(len(labels), bool)
    joint = np.column_stack([feature_space, label_columns, outputs])
    responsibilities = [_fit_members(joint, everything, is_misclassified, seed)]
    failures = np.bincount(labels[is_misclassified], minlength=class_count)
    least = max(
        constants.mixture_class_failures, is_misclassified.sum() / constants.mixture_share_divisor
    )
    for class_index in np.flatnonzero(failures >= least):
        within_class = np.column_stack([feature_space, outputs])
        members = labels == class_index
        responsibilities.append(_fit_members(within_class, members, is_misclassified, seed))
    return np.hstack(responsibilities)


def _fit_members(
    joint_features: Floats, member_mask: Mask, is_misclassified: Mask, seed: int
) -> Floats:
    """Return responsibilities [n, components] of a mixture of the members, 0 for other images."""
    constants = CONSTANTS.candidates
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(member_mask)
    failing = np.flatnonzero(is_misclassified & member_mask)
    count = min(constants.mixture_max_components, len(failing) // constants.min_target_failures)
    if count < 2:
        return np.zeros((len(member_mask), 0))
    max_failures = int(constants.mixture_fit_images * constants.mixture_failure_share)
    sample = rng.permutation(rows)[: constants.mixture_fit_images]
    added_failures = rng.permutation(failing)[:max_failures]
    fit_rows = np.unique(np.r_[sample, added_failures])
    model = GaussianMixture(
        count,
        covariance_type="diag",
        reg_covar=constants.mixture_min_variance,
        max_iter=constants.mixture_iterations,
        tol=constants.mixture_tolerance,
        random_state=seed,
    )
    responsibilities = np.zeros((len(member_mask), count))
    responsibilities[rows] = model.fit(joint_features[fit_rows]).predict_proba(joint_features[rows])
    return responsibilities
