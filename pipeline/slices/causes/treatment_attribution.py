"""To which treatment do the failing images of a slice belong, image by image?

A slice seldom looks like the copies of all good images: it holds the images that its cause breaks, cut by a rule, with
natural failures among them. Here each image is asked by itself. A classifier learns from good images, treated in every
way and as they are, what each treatment looks like; the shares of a slice's failures for which they account are then
estimated as the shares of classes in an unlabeled set are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Floats = NDArray[np.float64]
K = TypeVar("K")
MAX_ITERATIONS, CONVERGENCE_TOLERANCE = (
    200,
    1e-4,
)  # of the estimate, at most; the change from which it stands still
BOOTSTRAP_DRAWS, LEAD_QUANTILE = 400, 0.05  # of whole groups; the quantile of them that counts
UNDRAWN_WEIGHT = 1e-9  # weight of a image whose group was not drawn


@dataclass(frozen=True)
class TreatmentShare:
    """Of the failing images, for how many a treatment accounts, and by how much more than any other does at least;
    pair: where it is one of the two that account for most, each of them surely for more than any third, neither surely
    for more than the other, for how many they do together, else 0."""

    share: float
    ahead: float
    pair_share: float = 0.0


def estimate_class_priors(posteriors: Floats, weights: Floats) -> Floats:
    """Shares float [C] of the classes among images whose `posterior` [n, C] takes all classes for equally common.

    weights: float [n]. Expectation and maximisation in turn (Saerens, Latinne and Decaestecker 2002, "Adjusting the
    outputs of a classifier to new a priori probabilities", eq. 2.4).
    """
    found = np.full(posteriors.shape[1], 1 / posteriors.shape[1])
    for _ in range(MAX_ITERATIONS):
        each = posteriors * found
        new = np.average(
            each / np.maximum(each.sum(1, keepdims=True), 1e-300), axis=0, weights=weights
        )
        still = np.abs(new - found).max() < CONVERGENCE_TOLERANCE
        found = new
        if still:
            break
    return np.asarray(found)


def attribute_failures(
    treated_features: Mapping[K, Floats],
    failing_features: Floats,
    groups: NDArray[np.str_],
    seed: int,
    untreated_key: K | None = None,
) -> dict[K, TreatmentShare]:
    """For each treatment its share of `images`, and how far it is ahead of any other (5th percentile over draws of
    whole groups), alone and with the next one.

    copies: what is measured of the treated good images, float [n, k] each, NaN where unknown; images: float [m, k];
    groups: [m], of the images; untreated: the key of images as they are, which are never one of two. The classifier is
    a linear discriminant with shrunk covariance (Ledoit and Wolf 2004).
    """
    keys = list(treated_features)
    y = np.repeat(np.arange(len(keys)), [len(treated_features[k]) for k in keys])
    discriminant = LinearDiscriminantAnalysis(
        solver="lsqr", shrinkage="auto", priors=np.full(len(keys), 1 / len(keys))
    )
    model = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), discriminant
    )
    posterior = model.fit(np.vstack([treated_features[k] for k in keys]), y).predict_proba(
        failing_features
    )
    code = np.unique(groups, return_inverse=True)[1].reshape(-1)
    count, rng = int(code.max()) + 1, np.random.default_rng(seed)
    times = (
        rng.multinomial(count, np.full(count, 1 / count), size=BOOTSTRAP_DRAWS)[:, code]
        + UNDRAWN_WEIGHT
    )
    drawn = np.array([estimate_class_priors(posterior, weights) for weights in times])
    whole = estimate_class_priors(posterior, np.ones(len(failing_features)))
    ahead = [_compute_lead(drawn, [k]) for k in range(len(keys))]
    two = np.argsort(-whole, kind="stable")[:2].tolist()
    apart = untreated_key in [keys[k] for k in two] or ahead[two[0]] > 0
    pair = (
        float(whole[two].sum())
        if len(keys) > 2 and not apart and _compute_lead(drawn, two) > 0
        else 0.0
    )
    return {
        key: TreatmentShare(float(whole[k]), ahead[k], pair if k in two else 0.0)
        for k, key in enumerate(keys)
    }


def _compute_lead(drawn_shares: Floats, treatment_indices: list[int]) -> float:
    """How far each of some treatments is ahead of any other than these; drawn: shares [draws, C]."""
    rest = np.delete(drawn_shares, treatment_indices, axis=1).max(1, initial=0.0)
    return float(np.quantile(drawn_shares[:, treatment_indices].min(1) - rest, LEAD_QUANTILE))
