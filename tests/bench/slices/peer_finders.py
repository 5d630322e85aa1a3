"""Other finders on the same arrays: one adapter for each.

An adapter imports an installed or fetched copy, or raises `PeerAbsentError`; this repository has
none of their code. Every peer is fitted to one part of val and scores the other part. It returns
float [scored images, slices] in its own order of slices, ten at most, -inf outside a slice.
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

MAX_SLICES = 10
CLUSTERS = 25
MIN_CLUSTER_IMAGES = 10
PEER_COMPONENTS = 64  # principal components of the features
DOMINO_VARIABLE = "NIGHTSHIFT_DOMINO"  # folder of a fetched copy
SPOTLIGHT_VARIABLE = "NIGHTSHIFT_SPOTLIGHT"
SPOTLIGHT_STEPS = 1000
SPOTLIGHT_SHARE = 0.02  # least share of the weight in one spotlight
SPOTLIGHTS = 3
Floats = NDArray[np.float64]


class PeerAbsentError(Exception):
    """The peer is not installed, or its copy is not in the folder that its variable names."""


@dataclass(frozen=True)
class PeerPart:
    """Arrays of some images.

    Attributes:
        features: float [images, features].
        attributes: float [images, attributes].
        probabilities: float [images, classes].
        labels: class index of each image.
    """

    features: Floats
    attributes: Floats
    probabilities: Floats
    labels: NDArray[np.intp]

    @property
    def is_misclassified(self) -> NDArray[np.bool_]:
        """Return bool [images]."""
        return np.asarray(self.probabilities.argmax(1) != self.labels)


PeerFunction = Callable[[PeerPart, PeerPart, int], Floats]
"""(fitted part, scored part, seed) to scores."""


def split_parts(
    features: Any, attributes: Any, logits: Any, labels: Any, scored_mask: NDArray[np.bool_]
) -> tuple[PeerPart, PeerPart]:
    """Return the part that peers are fitted to, and the part that they score.

    Features are reduced to principal components and attributes are standardized, both by the first
    part.

    Args:
        features: float [images, features].
        attributes: float [images, attributes], NaN if unknown.
        logits: float [images, classes].
        labels: class index of each image.
        scored_mask: bool [images], the images that peers score.
    """
    medians = np.nanmedian(attributes, axis=0)
    attributes = np.where(np.isnan(attributes), medians, attributes)
    pca = PCA(PEER_COMPONENTS, random_state=0).fit(features[~scored_mask])
    scaler = StandardScaler().fit(attributes[~scored_mask])
    components = pca.transform(features)
    components = components / components[~scored_mask].std()
    probabilities = softmax(logits.astype(float), axis=1)
    arrays = (components, scaler.transform(attributes), probabilities, labels)
    fitted = PeerPart(*(values[~scored_mask] for values in arrays))
    return fitted, PeerPart(*(values[scored_mask] for values in arrays))


def _join_columns(part: PeerPart) -> Floats:
    return np.hstack([part.features, part.attributes])


def run_kmeans(fitted: PeerPart, scored: PeerPart, seed: int) -> Floats:
    """Run k-means on features and attributes; clusters are ranked by error rate.

    Clusters below `MIN_CLUSTER_IMAGES` images are last.
    """
    model = KMeans(CLUSTERS, n_init=3, random_state=seed).fit(_join_columns(fitted))
    sizes = np.bincount(model.labels_, minlength=CLUSTERS)
    error_counts = np.bincount(model.labels_, fitted.is_misclassified, CLUSTERS)
    error_rates = error_counts / np.maximum(sizes, 1)
    ranking = np.argsort(-np.where(sizes >= MIN_CLUSTER_IMAGES, error_rates, -1), kind="stable")
    columns = _join_columns(scored)
    clusters, distances = model.predict(columns), model.transform(columns)
    scores = [
        np.where(clusters == cluster, -distances[:, cluster], -np.inf)
        for cluster in ranking[:MAX_SLICES]
    ]
    return np.stack(scores, 1)


def run_error_tree(fitted: PeerPart, scored: PeerPart, seed: int) -> Floats:
    """Fit a decision tree of errors on attributes; leaves are ranked by their excess errors."""
    model = DecisionTreeClassifier(max_leaf_nodes=20, min_samples_leaf=20, random_state=seed)
    model.fit(fitted.attributes, fitted.is_misclassified)
    fitted_leaves = model.apply(fitted.attributes)
    excess = fitted.is_misclassified - fitted.is_misclassified.mean()
    excess_by_leaf = {}
    for leaf in np.unique(fitted_leaves):
        excess_by_leaf[leaf] = float(excess[fitted_leaves == leaf].sum())
    ranking = sorted(excess_by_leaf, key=lambda leaf: -excess_by_leaf[leaf])
    scored_leaves = model.apply(scored.attributes)
    scores = [np.where(scored_leaves == leaf, 0.0, -np.inf) for leaf in ranking[:MAX_SLICES]]
    return np.stack(scores, 1)


def _bin_attributes(part: PeerPart, cuts: Floats) -> NDArray[np.int64]:
    """Return the bin of each attribute, and the class, int64 [images, attributes + 1]."""
    columns = []
    for column_cuts, values in zip(cuts.T, part.attributes.T, strict=True):
        columns.append(np.searchsorted(column_cuts, values))
    return np.column_stack([*columns, part.labels]).astype(np.int64)


def run_sliceline(fitted: PeerPart, scored: PeerPart, seed: int) -> Floats:
    """Run sliceline (Sagadeeva and Boehm 2021) on attributes in five bins and the class."""
    try:
        from sliceline.slicefinder import Slicefinder
    except ImportError as error:
        raise PeerAbsentError("pip install sliceline==0.3.0") from error
    cuts = np.quantile(fitted.attributes, (0.1, 0.3, 0.7, 0.9), axis=0)
    finder = Slicefinder(alpha=0.95, k=MAX_SLICES, max_l=2, min_sup=20, verbose=False)
    finder.fit(_bin_attributes(fitted, cuts), fitted.is_misclassified.astype(float))
    scored_bins = _bin_attributes(scored, cuts)
    scores = []
    for rule in finder.top_slices_:
        is_member = np.ones(len(scored_bins), bool)
        for column, value in enumerate(rule):
            if value is not None:
                is_member &= scored_bins[:, column] == value
        scores.append(np.where(is_member, 0.0, -np.inf))
    return np.stack(scores, 1) if scores else np.full((len(scored_bins), 1), -np.inf)


def run_cleanlab(fitted: PeerPart, scored: PeerPart, seed: int) -> Floats:
    """Run cleanlab's underperforming group: the one cluster with the worst labels.

    Images near its mean are typical.
    """
    try:
        from cleanlab import Datalab
    except ImportError as error:
        raise PeerAbsentError("pip install cleanlab datasets") from error
    try:
        lab = Datalab({"y": fitted.labels}, label_name="y", verbosity=0)
    except ImportError as error:
        raise PeerAbsentError("pip install datasets") from error
    columns = _join_columns(fitted)
    clusters = KMeans(CLUSTERS, n_init=3, random_state=seed).fit_predict(columns)
    issue_types = {"underperforming_group": {"cluster_ids": clusters, "threshold": 1.0}}
    lab.find_issues(features=columns, pred_probs=fitted.probabilities, issue_types=issue_types)
    issues = lab.get_issues("underperforming_group")
    is_flagged = issues["is_underperforming_group_issue"].to_numpy()
    if not is_flagged.any():
        return np.full((len(scored.labels), 1), -np.inf)
    distances = np.linalg.norm(_join_columns(scored) - columns[is_flagged].mean(0), axis=1)
    return -distances[:, None]


def _find_copy(variable: str, package: str) -> Path:
    """Return the folder of a fetched copy, and add it to the import path.

    Raises:
        PeerAbsentError: the variable names no folder with the package.
    """
    root = Path(os.environ.get(variable, ""))
    if not os.environ.get(variable) or not (root / package).is_dir():
        raise PeerAbsentError(f"set {variable} to a folder that holds {package}/")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return root


def _load_domino_class() -> Any:
    """Return the mixture slicer of a fetched copy of Domino.

    The start of its package is left out: it imports meerkat, and tkinter by mistake, which the
    slicer does not use.
    """
    root = _find_copy(DOMINO_VARIABLE, "domino")
    for name, path in (("domino", root / "domino"), ("domino._slice", root / "domino" / "_slice")):
        package = types.ModuleType(name)
        package.__path__ = [str(path)]
        sys.modules.setdefault(name, package)
    meerkat = types.ModuleType("meerkat")
    meerkat.Column = meerkat.DataFrame = type("Column", (), {})
    sys.modules.setdefault("meerkat", meerkat)
    if not hasattr(np, "infty"):  # the copy was written for numpy 1
        np.infty = np.inf
    tkinter = types.ModuleType("tkinter")
    tkinter.Variable = object
    sys.modules.setdefault("tkinter", tkinter)
    return importlib.import_module("domino._slice.mixture").MixtureSlicer


def build_domino(weight: float, *, uses_attributes: bool) -> PeerFunction:
    """Return the error-aware mixture of Eyuboglu et al. 2022.

    Args:
        weight: weight of labels and predictions.
        uses_attributes: whether attributes are added to the features.
    """

    def run_domino(fitted: PeerPart, scored: PeerPart, seed: int) -> Floats:
        slicer = _load_domino_class()(
            n_slices=MAX_SLICES,
            n_mixture_components=CLUSTERS,
            n_pca_components=None,
            init_params="kmeans",
            y_log_likelihood_weight=weight,
            y_hat_log_likelihood_weight=weight,
            random_state=seed,
            pbar=False,
        )
        columns = [
            _join_columns(part) if uses_attributes else part.features for part in (fitted, scored)
        ]
        slicer.fit(
            embeddings=columns[0].astype(np.float64),
            targets=fitted.labels,
            pred_probs=fitted.probabilities,
        )
        scores = slicer.predict_proba(
            embeddings=columns[1].astype(np.float64),
            targets=scored.labels,
            pred_probs=scored.probabilities,
        )
        return np.asarray(scores)

    return run_domino


def run_spotlight(fitted: PeerPart, scored: PeerPart, seed: int) -> Floats:
    """Run the spherical spotlights of d'Eon et al. 2022 on features."""
    _find_copy(SPOTLIGHT_VARIABLE, "torch_spotlight")
    import torch

    module = importlib.import_module("torch_spotlight.spotlight")
    torch.manual_seed(seed)
    features = fitted.features.astype(np.float32)
    count = len(features)
    label_probabilities = fitted.probabilities[np.arange(count), fitted.labels]
    losses = -np.log(np.maximum(label_probabilities, 1e-9)).astype(np.float32)
    min_weight = SPOTLIGHT_SHARE * count
    columns = []
    for _ in range(SPOTLIGHTS):
        weights = np.geomspace(count - min_weight, 0.05 * min_weight, SPOTLIGHT_STEPS)
        with contextlib.redirect_stdout(io.StringIO()):
            result = module.run_spotlight(
                features, losses, min_weight, True, weights, 1.0, 1e-2, print_every=SPOTLIGHT_STEPS
            )
        mean, precision = (values.detach().numpy() for values in result[5:7])
        offsets = scored.features - mean
        columns.append(-np.einsum("nd,de,ne->n", offsets, precision, offsets))
        spotlight_weights = result[1] / max(float(result[1].max()), 1e-9)
        losses = (losses * (1 - spotlight_weights)).astype(np.float32)
    return np.stack(columns, 1)


PEERS: dict[str, PeerFunction] = {
    "Domino, weight 1": build_domino(1, uses_attributes=False),
    "Domino, weight 10": build_domino(10, uses_attributes=False),
    "Domino, weight 1, attributes": build_domino(1, uses_attributes=True),
    "Domino, weight 10, attributes": build_domino(10, uses_attributes=True),
    "Spotlight": run_spotlight,
    "sliceline": run_sliceline,
    "cleanlab": run_cleanlab,
    "k-means": run_kmeans,
    "error tree": run_error_tree,
}
