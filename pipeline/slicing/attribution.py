"""To which treatment do the failing photos of a slice belong, photo by photo?

A slice seldom looks like the copies of all good photos: it holds the photos that its cause breaks, cut by a rule, with
natural failures among them. Here each photo is asked by itself. A classifier learns from good photos, treated in every
way and as they are, what each treatment looks like; the shares of a slice's failures for which they account are then
estimated as the shares of classes in an unlabelled set are.
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
ROUNDS, STILL = 200, 1e-4  # of the estimate, at most; the change from which it stands still
DRAWS, LEVEL = 400, 0.05  # of whole groups; the quantile of them that counts
NOTHING = 1e-9  # weight of a photo whose group was not drawn


@dataclass(frozen=True)
class Share:
    """Of the failing photos, for how many a treatment accounts, and by how much more than any other does at least;
    pair: where it is one of the two that account for most, each of them surely for more than any third, neither surely
    for more than the other, for how many they do together, else 0."""

    share: float
    ahead: float
    pair: float = 0.0


def shares(posterior: Floats, weights: Floats) -> Floats:
    """Shares float [C] of the classes among photos whose `posterior` [n, C] takes all classes for equally common.

    weights: float [n]. Expectation and maximisation in turn (Saerens, Latinne and Decaestecker 2002, "Adjusting the
    outputs of a classifier to new a priori probabilities", eq. 2.4).
    """
    found = np.full(posterior.shape[1], 1 / posterior.shape[1])
    for _ in range(ROUNDS):
        each = posterior * found
        new = np.average(each / np.maximum(each.sum(1, keepdims=True), 1e-300), axis=0, weights=weights)
        still = np.abs(new - found).max() < STILL
        found = new
        if still:
            break
    return np.asarray(found)


def attribute(
    copies: Mapping[K, Floats], photos: Floats, groups: NDArray[np.str_], seed: int, untreated: K | None = None
) -> dict[K, Share]:
    """For each treatment its share of `photos`, and how far it is ahead of any other (5th percentile over draws of
    whole groups), alone and with the next one.

    copies: what is measured of the treated good photos, float [n, k] each, NaN where unknown; photos: float [m, k];
    groups: [m], of the photos; untreated: the key of photos as they are, which are never one of two. The classifier is
    a linear discriminant with shrunk covariance (Ledoit and Wolf 2004).
    """
    keys = list(copies)
    y = np.repeat(np.arange(len(keys)), [len(copies[k]) for k in keys])
    discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=np.full(len(keys), 1 / len(keys)))
    model = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), discriminant)
    posterior = model.fit(np.vstack([copies[k] for k in keys]), y).predict_proba(photos)
    code = np.unique(groups, return_inverse=True)[1].reshape(-1)
    count, rng = int(code.max()) + 1, np.random.default_rng(seed)
    times = rng.multinomial(count, np.full(count, 1 / count), size=DRAWS)[:, code] + NOTHING
    drawn = np.array([shares(posterior, weights) for weights in times])
    whole = shares(posterior, np.ones(len(photos)))
    ahead = [_ahead(drawn, [k]) for k in range(len(keys))]
    two = np.argsort(-whole, kind="stable")[:2].tolist()
    apart = untreated in [keys[k] for k in two] or ahead[two[0]] > 0
    pair = float(whole[two].sum()) if len(keys) > 2 and not apart and _ahead(drawn, two) > 0 else 0.0
    return {key: Share(float(whole[k]), ahead[k], pair if k in two else 0.0) for k, key in enumerate(keys)}


def _ahead(drawn: Floats, which: list[int]) -> float:
    """How far each of some treatments is ahead of any other than these; drawn: shares [draws, C]."""
    rest = np.delete(drawn, which, axis=1).max(1, initial=0.0)
    return float(np.quantile(drawn[:, which].min(1) - rest, LEVEL))
