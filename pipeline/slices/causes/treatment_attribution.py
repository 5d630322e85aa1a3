"""The attribution of a slice's failing images to treatments, image by image.

A slice seldom looks like copies of all good images: it holds the images that its cause breaks, cut
by a rule, mixed with natural failures. A classifier therefore learns what each treatment looks like
from good images, treated in every way and untreated. The share of each treatment among the slice's
failures is then estimated like class priors of an unlabeled set.
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

from pipeline.slices.finder_constants import CONSTANTS

Floats = NDArray[np.float64]
K = TypeVar("K")
MIN_TOTAL_POSTERIOR = 1e-300  # keeps the division defined if all posteriors underflow


@dataclass(frozen=True)
class TreatmentShare:
    """The part of the failing images that is attributed to a treatment.

    Attributes:
        attributed_share: estimated share of the failing images.
        attribution_lead: lower bound of the lead over every other treatment, as a share.
        pair_share: share of this treatment and another together, if they are the two most frequent,
            both significantly more frequent than any third, and neither significantly more
            frequent than the other; 0 otherwise.
    """

    attributed_share: float
    attribution_lead: float
    pair_share: float = 0.0


def estimate_class_priors(posteriors: Floats, weights: Floats) -> Floats:
    """Return the share of each class among unlabeled images, float [classes].

    Source: Saerens, Latinne and Decaestecker 2002, "Adjusting the outputs of a classifier to new a
    priori probabilities", equation 2.4 (expectation-maximization).

    Args:
        posteriors: float [n, classes], from a classifier with uniform priors.
        weights: float [n], weight of each image.
    """
    priors = np.full(posteriors.shape[1], 1 / posteriors.shape[1])
    for _ in range(CONSTANTS.causes.max_em_iterations):
        joint = posteriors * priors
        total = np.maximum(joint.sum(1, keepdims=True), MIN_TOTAL_POSTERIOR)
        updated = np.average(joint / total, axis=0, weights=weights)
        has_converged = np.abs(updated - priors).max() < CONSTANTS.causes.em_tolerance
        priors = updated
        if has_converged:
            break
    return np.asarray(priors)


def attribute_failures(
    treated_features: Mapping[K, Floats],
    failing_features: Floats,
    groups: NDArray[np.str_],
    seed: int,
    untreated_key: K | None = None,
) -> dict[K, TreatmentShare]:
    """Return the share of the failing images that is attributed to each treatment.

    The classifier is a linear discriminant with shrunk covariance (Ledoit and Wolf 2004). Leads are
    bounded over draws of whole groups.

    Args:
        treated_features: features of the treated good images, float [n, features] for each
            treatment, NaN if unknown.
        failing_features: features of the failing images, float [m, features].
        groups: the group of each failing image, [m].
        seed: seed of the draws.
        untreated_key: the key of the untreated images, which never form a pair with a treatment.
    """
    keys = list(treated_features)
    posteriors = _predict_treatments(list(treated_features.values()), failing_features)
    drawn_shares = _draw_shares(posteriors, groups, seed)
    shares = estimate_class_priors(posteriors, np.ones(len(failing_features)))
    leads = [_compute_lead(drawn_shares, [k]) for k in range(len(keys))]
    top_two = np.argsort(-shares, kind="stable")[:2].tolist()
    has_untreated = any(keys[k] == untreated_key for k in top_two)
    is_separated = has_untreated or leads[top_two[0]] > 0
    pair_share = 0.0
    if len(keys) > 2 and not is_separated and _compute_lead(drawn_shares, top_two) > 0:
        pair_share = float(shares[top_two].sum())
    attributed = {}
    for k, key in enumerate(keys):
        is_in_pair = k in top_two
        attributed[key] = TreatmentShare(
            float(shares[k]), leads[k], pair_share if is_in_pair else 0.0
        )
    return attributed


def _predict_treatments(treated_features: list[Floats], failing_features: Floats) -> Floats:
    """Return the posterior of each treatment for each failing image, float [m, treatments]."""
    count = len(treated_features)
    codes = np.repeat(np.arange(count), list(map(len, treated_features)))
    discriminant = LinearDiscriminantAnalysis(
        solver="lsqr", shrinkage="auto", priors=np.full(count, 1 / count)
    )
    model = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), discriminant
    )
    fitted = model.fit(np.vstack(treated_features), codes)
    return np.asarray(fitted.predict_proba(failing_features))


def _draw_shares(posteriors: Floats, groups: NDArray[np.str_], seed: int) -> Floats:
    """Return the shares of the treatments in draws of whole groups, float [draws, treatments]."""
    code = np.unique(groups, return_inverse=True)[1].reshape(-1)
    count, rng = int(code.max()) + 1, np.random.default_rng(seed)
    times_drawn = rng.multinomial(
        count, np.full(count, 1 / count), size=CONSTANTS.causes.bootstrap_draws
    )
    weights = times_drawn[:, code] + CONSTANTS.causes.undrawn_group_weight
    return np.array([estimate_class_priors(posteriors, draw) for draw in weights])


def _compute_lead(drawn_shares: Floats, treatments: list[int]) -> float:
    """Return the lower bound of the lead of some treatments over every other one.

    Args:
        drawn_shares: float [draws, treatments].
        treatments: columns; the least frequent of them must lead.
    """
    others = np.delete(drawn_shares, treatments, axis=1).max(1, initial=0.0)
    lead = drawn_shares[:, treatments].min(1) - others
    return float(np.quantile(lead, CONSTANTS.causes.lead_quantile))
