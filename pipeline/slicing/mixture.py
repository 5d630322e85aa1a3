"""Photos that fail alike and look alike: an error-aware mixture on whitened frozen features and attributes.

Source: Eyuboglu et al. 2022 (Domino): each component explains features, label and prediction together, so that one
gathers photos of one look, one class and one error. Here it proposes only: what it gathers is then put as a readable
rule (design rule 1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from pipeline.slicing.rules import Mask

Floats = NDArray[np.float64]
WEIGHT = 3.0  # of label and prediction against one whitened direction
COMPONENTS = 10  # at most
MOST = 5000  # photos that it is fitted on, all failures among them as far as they go


def components(space: Floats, truth: NDArray[np.intp], shares: Floats, errors: Mask, seed: int) -> Floats:
    """Responsibilities float64 [n, components] of a mixture over all photos, and one for each class that often fails.

    space: [n, D], whitened; truth: class index [n]; shares: the model's probabilities [n, classes]; errors: bool [n].
    """
    joint = np.column_stack([space, WEIGHT * np.eye(shares.shape[1])[truth], WEIGHT * shares])
    found = [_fitted(joint, np.ones(len(truth), bool), errors, seed)]
    counts = np.bincount(truth[errors], minlength=shares.shape[1])
    often = np.flatnonzero(counts >= max(20, errors.sum() / 5))
    found += [_fitted(np.column_stack([space, WEIGHT * shares]), truth == c, errors, seed) for c in often]
    return np.hstack(found)


def _fitted(joint: Floats, of: Mask, errors: Mask, seed: int) -> Floats:
    """Responsibilities [n, components], 0 outside `of`."""
    rng, rows = np.random.default_rng(seed), np.flatnonzero(of)
    count = min(COMPONENTS, int((errors & of).sum()) // 10)
    if count < 2:
        return np.zeros((len(of), 0))
    learn = rng.permutation(rows)[:MOST]
    failing = np.flatnonzero(errors & of)
    learn = np.unique(np.r_[learn, rng.permutation(failing)[: MOST // 4]])
    model = GaussianMixture(count, covariance_type="diag", reg_covar=1e-2, max_iter=50, tol=1e-2, random_state=seed)
    found = np.zeros((len(of), count))
    found[rows] = model.fit(joint[learn]).predict_proba(joint[rows])
    return found
