"""Other finders on the same arrays: an adapter each. It imports an installed or fetched copy, or raises `Absent`.

Every peer is fitted on one part of val and scores the other: float [held, slices] in its own order of slices, ten at
most, -inf outside a slice. None of their code is in this repository.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

SLICES, STEPS = 10, 1000
DOMINO, SPOTLIGHT = "NIGHTSHIFT_DOMINO", "NIGHTSHIFT_SPOTLIGHT"  # folders of fetched copies
Floats = NDArray[np.float64]


class Absent(Exception):
    """The peer is not installed, or its copy is not where the setting says."""


@dataclass(frozen=True)
class Part:
    """features [n, D], attributes [n, k], probabilities [n, C], labels (class index) [n]."""

    features: Floats
    attributes: Floats
    probabilities: Floats
    labels: NDArray[np.intp]

    @property
    def errors(self) -> NDArray[np.bool_]:
        """bool [n]."""
        return np.asarray(self.probabilities.argmax(1) != self.labels)


def parts(
    features: Any, attributes: Any, logits: Any, labels: Any, held: NDArray[np.bool_]
) -> tuple[Part, Part]:
    """The part that peers are fitted on and the one that they score: features reduced to 64 principal components,
    attributes standardized, both by the former."""
    attributes = np.where(np.isnan(attributes), np.nanmedian(attributes, axis=0), attributes)
    pca, scaler = (
        PCA(64, random_state=0).fit(features[~held]),
        StandardScaler().fit(attributes[~held]),
    )
    z = pca.transform(features)
    z = z / z[~held].std()
    every = Part(z, scaler.transform(attributes), softmax(logits.astype(float), axis=1), labels)
    return (
        Part(*(v[~held] for v in vars(every).values())),
        Part(*(v[held] for v in vars(every).values())),
    )


def _both(part: Part) -> Floats:
    return np.hstack([part.features, part.attributes])


def kmeans(fit: Part, held: Part, seed: int) -> Floats:
    """k-means on features and attributes; clusters ranked by error, those below 10 images last."""
    model = KMeans(25, n_init=3, random_state=seed).fit(_both(fit))
    size = np.bincount(model.labels_, minlength=25)
    error = np.bincount(model.labels_, fit.errors, 25) / np.maximum(size, 1)
    best = np.argsort(-np.where(size >= 10, error, -1), kind="stable")[:SLICES]
    nearest, away = model.predict(_both(held)), model.transform(_both(held))
    return np.stack([np.where(nearest == k, -away[:, k], -np.inf) for k in best], 1)


def tree(fit: Part, held: Part, seed: int) -> Floats:
    """An error-analysis tree: a decision tree of errors on attributes; leaves by error in excess of the mean, times
    size."""
    model = DecisionTreeClassifier(max_leaf_nodes=20, min_samples_leaf=20, random_state=seed)
    model.fit(fit.attributes, fit.errors)
    leaf, mean = model.apply(fit.attributes), fit.errors.mean()
    worth = {k: float((fit.errors[leaf == k] - mean).sum()) for k in np.unique(leaf)}
    there = model.apply(held.attributes)
    best = sorted(worth, key=lambda k: -worth[k])[:SLICES]
    return np.stack([np.where(there == k, 0.0, -np.inf) for k in best], 1)


def _bins(fit: Part, held: Part) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    cuts = np.quantile(fit.attributes, (0.1, 0.3, 0.7, 0.9), axis=0)
    binned = [
        np.stack([np.searchsorted(c, x) for c, x in zip(cuts.T, p.attributes.T, strict=True)], 1)
        for p in (fit, held)
    ]
    return (
        np.column_stack([binned[0], fit.labels]).astype(np.int64),
        np.column_stack([binned[1], held.labels]).astype(np.int64),
    )


def sliceline(fit: Part, held: Part, seed: int) -> Floats:
    """Sagadeeva and Boehm 2021, on attributes in five bins and the class."""
    try:
        from sliceline.slicefinder import Slicefinder
    except ImportError as error:
        raise Absent("pip install sliceline==0.3.0") from error
    known, new = _bins(fit, held)
    finder = Slicefinder(alpha=0.95, k=SLICES, max_l=2, min_sup=20, verbose=False)
    finder.fit(known, fit.errors.astype(float))
    found = [
        np.all([(new[:, c] == v) for c, v in enumerate(rule) if v is not None], axis=0)
        for rule in finder.top_slices_
    ]
    return (
        np.stack([np.where(m, 0.0, -np.inf) for m in found], 1)
        if found
        else np.full((len(new), 1), -np.inf)
    )


def cleanlab(fit: Part, held: Part, seed: int) -> Floats:
    """cleanlab's underperforming group: the one cluster with the worst labels.

    Typical is near its mean.
    """
    try:
        from cleanlab import Datalab
    except ImportError as error:
        raise Absent("pip install cleanlab datasets") from error
    try:
        lab = Datalab({"y": fit.labels}, label_name="y", verbosity=0)
    except ImportError as error:
        raise Absent("pip install datasets") from error
    names = KMeans(25, n_init=3, random_state=seed).fit_predict(_both(fit))
    types = {"underperforming_group": {"cluster_ids": names, "threshold": 1.0}}
    lab.find_issues(features=_both(fit), pred_probs=fit.probabilities, issue_types=types)
    flagged = lab.get_issues("underperforming_group")["is_underperforming_group_issue"].to_numpy()
    if not flagged.any():
        return np.full((len(held.labels), 1), -np.inf)
    return -np.linalg.norm(_both(held) - _both(fit)[flagged].mean(0), axis=1)[:, None]


def _copy(setting: str, package: str) -> Path:
    """The folder of a fetched copy, laid on the path so that its parts can be imported."""
    root = Path(os.environ.get(setting, ""))
    if not os.environ.get(setting) or not (root / package).is_dir():
        raise Absent(f"set {setting} to a folder that holds {package}/")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return root


def _domino_class() -> Any:
    """Domino's mixture slicer out of its copy, without the package's start, which imports far more (meerkat, and
    tkinter by mistake) than the slicer uses."""
    root = _copy(DOMINO, "domino")
    for name, path in (("domino", root / "domino"), ("domino._slice", root / "domino" / "_slice")):
        package = types.ModuleType(name)
        package.__path__ = [str(path)]
        sys.modules.setdefault(name, package)
    meerkat = types.ModuleType("meerkat")
    meerkat.Column = meerkat.DataFrame = type("Column", (), {})
    sys.modules.setdefault("meerkat", meerkat)
    if not hasattr(np, "infty"):  # the copy was written for numpy 1
        np.infty = np.inf
    window = types.ModuleType("tkinter")
    window.Variable = object
    sys.modules.setdefault("tkinter", window)
    return importlib.import_module("domino._slice.mixture").MixtureSlicer


def domino(weight: float, attributes: bool) -> Callable[[Part, Part, int], Floats]:
    """Eyuboglu et al. 2022: the error-aware mixture at one weight of labels and predictions."""

    def run(fit: Part, held: Part, seed: int) -> Floats:
        made = _domino_class()(
            n_slices=SLICES,
            n_mixture_components=25,
            n_pca_components=None,
            init_params="kmeans",
            y_log_likelihood_weight=weight,
            y_hat_log_likelihood_weight=weight,
            random_state=seed,
            pbar=False,
        )
        x = [(_both(p) if attributes else p.features).astype(np.float64) for p in (fit, held)]
        made.fit(embeddings=x[0], targets=fit.labels, pred_probs=fit.probabilities)
        return np.asarray(
            made.predict_proba(embeddings=x[1], targets=held.labels, pred_probs=held.probabilities)
        )

    return run


def spotlight(fit: Part, held: Part, seed: int) -> Floats:
    """d'Eon et al. 2022, spherical, 2 % of the weight at least, on features."""
    _copy(SPOTLIGHT, "torch_spotlight")
    import torch

    module = importlib.import_module("torch_spotlight.spotlight")
    torch.manual_seed(seed)
    x, share = fit.features.astype(np.float32), 0.02
    loss = -np.log(np.maximum(fit.probabilities[np.arange(len(x)), fit.labels], 1e-9)).astype(
        np.float32
    )
    least, columns = share * len(x), []
    for _ in range(3):
        steps = np.geomspace(len(x) - least, 0.05 * least, STEPS)
        with contextlib.redirect_stdout(io.StringIO()):
            done = module.run_spotlight(x, loss, least, True, steps, 1.0, 1e-2, print_every=STEPS)
        mean, precision = (v.detach().numpy() for v in done[5:7])
        away = held.features - mean
        columns.append(-np.einsum("nd,de,ne->n", away, precision, away))
        loss = (loss * (1 - done[1] / max(float(done[1].max()), 1e-9))).astype(np.float32)
    return np.stack(columns, 1)


PEERS: dict[str, Callable[[Part, Part, int], Floats]] = {
    "Domino, weight 1": domino(1, False),
    "Domino, weight 10": domino(10, False),
    "Domino, weight 1, attributes": domino(1, True),
    "Domino, weight 10, attributes": domino(10, True),
    "Spotlight": spotlight,
    "sliceline": sliceline,
    "cleanlab": cleanlab,
    "k-means": kmeans,
    "error tree": tree,
}
