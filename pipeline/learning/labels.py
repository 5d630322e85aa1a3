"""Which labels look wrong? Out-of-fold heads on frozen features, judged by confident learning."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.contracts import Track, silent
from pipeline.evidence.intervals import codes
from pipeline.learning.holdout import folds_of

FOLDS, GROUPS = 5, 20  # fewer groups than this say nothing about each other's labels
WIDTH = 128  # principal components that a head sees
Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


def sampled(labels: Labels, groups: ArrayLike, most: int, seed: int) -> NDArray[np.intp]:
    """Positions, in order, of about `most` photos [n]: an equal number of each group and label, random within."""
    key = pd.Series(codes(groups)[0]) * (int(labels.max(initial=0)) + 1) + labels
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    turn[order] = key.iloc[order].groupby(key.iloc[order]).cumcount().to_numpy()
    cap = int(np.searchsorted(np.cumsum(np.bincount(turn)), most, side="right"))
    return np.flatnonzero(turn < max(1, cap))


def out_of_fold(
    features: Floats, labels: Labels, groups: ArrayLike, *, most: int, seed: int, track: Track = silent
) -> NDArray[np.float64]:
    """Probabilities float64 [n, classes] by logistic heads that saw no photo of the own group.

    features: float32 [n, D] of frozen weights. labels: int [n], each of 0 .. classes - 1 present. A head learns from
    about `most` photos, evenly by group; it sees standardised principal components.
    """
    fold, out = folds_of(labels, groups, FOLDS, seed), np.full((len(labels), int(labels.max()) + 1), 1e-9)
    learn = np.zeros(len(labels), bool)
    learn[sampled(labels, groups, most, seed)] = True
    for number in track(range(FOLDS), total=FOLDS, what="label heads"):
        seen, held = learn & (fold != number), fold == number
        if len(np.unique(labels[seen])) < 2 or not held.any():
            continue
        width = min(WIDTH, features.shape[1], int(seen.sum()) - 1)
        pca = PCA(width, svd_solver="randomized", random_state=seed)
        head = make_pipeline(
            StandardScaler(), pca, StandardScaler(), LogisticRegression(C=0.01, max_iter=300, tol=1e-3)
        )
        head.fit(features[seen], labels[seen])
        out[np.ix_(held, head[-1].classes_)] += head.predict_proba(features[held])
    return np.asarray(out / out.sum(1, keepdims=True))


def suspected(probabilities: NDArray[np.float64], labels: Labels, least: float) -> pd.DataFrame:
    """Positions of photos whose label is probably wrong, with `suggested` (class) and its `confidence`, surest first.

    probabilities: out of fold [n, classes]. least: of the suggested class. Source: Northcutt et al. 2021, Confident
    learning, by cleanlab; both its count matrix and its pruning by noise rate must agree.
    """
    from cleanlab.filter import find_label_issues

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cleanlab speaks of classes with few photos
        flagged = find_label_issues(labels, probabilities, filter_by="both", n_jobs=1)
    best = probabilities.argmax(1)
    sure = probabilities[np.arange(len(labels)), best]
    where = np.flatnonzero(flagged & (best != labels) & (sure >= least))
    table = pd.DataFrame({"position": where, "suggested": best[where], "confidence": sure[where]})
    return table.sort_values("confidence", ascending=False, kind="stable", ignore_index=True)


def judgeable(labels: Labels, groups: ArrayLike) -> bool:
    """Whether there are enough groups, and two classes, to let photos judge each other's labels."""
    return codes(groups)[1] >= GROUPS and len(np.unique(labels)) >= 2
