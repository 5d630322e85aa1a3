"""Which labels look wrong? Out-of-fold heads on frozen features, what photos of one group say of each other, and
confident learning to judge both."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.contracts import Track, silent
from pipeline.evidence.intervals import codes
from pipeline.learning.batches import Part
from pipeline.learning.calibration import fit_temperature
from pipeline.learning.holdout import folds_of

FOLDS, GROUPS = 5, 20  # fewer groups than this say nothing about each other's labels
EACH = 10  # photos of a label that a head sees, where so many are of groups of their own that few can be
CHUNK = 4096  # photos that a head is asked about at once
WIDTH = 256  # principal components that a head sees
AGREE = 0.9  # share of pairs with one label from which photos of a group are held to show one thing
ERROR, RAREST, COMMONEST = 0.01, 0.002, 0.1  # share of wrong labels: without pairs to measure it, and its bounds
Labels = NDArray[np.int64]
Odds = NDArray[np.float64]


def sampled(labels: Labels, groups: ArrayLike, most: int, seed: int) -> NDArray[np.intp]:
    """Positions, in order, of about `most` photos [n]: an equal number of each group and label, random within; of more
    than `most` of these, one each of some drawn at random, `EACH` of every label first."""
    key = pd.Series(codes(groups)[0]) * (int(labels.max(initial=0)) + 1) + labels
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    turn[order] = key.iloc[order].groupby(key.iloc[order]).cumcount().to_numpy()
    cap = int(np.searchsorted(np.cumsum(np.bincount(turn)), most, side="right"))
    if cap:
        return np.flatnonzero(turn < cap)
    one = order[turn[order] == 0]
    early = pd.Series(labels[one]).groupby(labels[one]).cumcount().to_numpy() < EACH
    return np.sort(np.concatenate([one[early], one[~early]])[:most])


def out_of_fold(
    layout: NDArray[np.floating] | Part,
    labels: Labels,
    groups: ArrayLike,
    *,
    most: int,
    seed: int,
    track: Track = silent,
) -> Odds:
    """Probabilities float64 [n, classes] by logistic heads that saw no photo of the own group.

    layout: float [n, D] of frozen weights. labels: int [n], each of 0 .. classes - 1 present. A head learns from
    about `most` photos, evenly by group; it sees standardised principal components. One temperature calibrates
    all, by the photos but the 2 % that fit worst: those may be the wrong labels.
    """
    fold, out = folds_of(labels, groups, FOLDS, seed), np.full((len(labels), int(labels.max()) + 1), 1e-9)
    learn = np.zeros(len(labels), bool)
    learn[sampled(labels, groups, most, seed)] = True
    for number in track(range(FOLDS), total=FOLDS, what="label heads"):
        seen, held = learn & (fold != number), fold == number
        if len(np.unique(labels[seen])) < 2 or not held.any():
            continue
        pca = PCA(min(WIDTH, layout.shape[1], int(seen.sum()) - 1), svd_solver="randomized", random_state=seed)
        logistic = LogisticRegression(C=0.01, max_iter=300, tol=1e-3)
        head = make_pipeline(StandardScaler(), pca, StandardScaler(), logistic)
        head.fit(layout[seen].astype(np.float32), labels[seen])
        where = np.flatnonzero(held)
        for part in np.split(where, range(CHUNK, len(where), CHUNK)):
            out[np.ix_(part, logistic.classes_)] += head.predict_proba(layout[part].astype(np.float32))
    return _calibrated(np.log(out / out.sum(1, keepdims=True)), labels)


def _calibrated(log_odds: Odds, labels: Labels) -> Odds:
    own = log_odds[np.arange(len(labels)), labels]
    fits = own >= np.quantile(own, 2 * ERROR)
    return np.asarray(softmax(log_odds / fit_temperature(log_odds[fits], labels[fits]), axis=1))


def agreement(labels: Labels, groups: ArrayLike) -> float | None:
    """Share of the pairs of photos of one group that have one label; None where no group has two photos."""
    group, _ = codes(groups)
    sizes = np.bincount(group)
    same = pd.Series(labels).groupby([group, labels]).size().to_numpy()
    pairs = int((sizes * (sizes - 1)).sum())
    return float((same * (same - 1)).sum() / pairs) if pairs else None


def consensus(probabilities: Odds, labels: Labels, groups: ArrayLike) -> tuple[Odds, Odds]:
    """Probabilities [n, classes] of what a photo shows, from the heads and labels of its whole group: (without its own
    label, with it).

    Naive Bayes: a label is wrong as often as pairs within groups disagree, and a group of n photos counts as sqrt(n)
    heads, since its frames are alike. Where groups mix classes every photo stands for itself.
    """
    same = agreement(labels, groups)
    together = same is not None and same >= AGREE
    group = codes(groups)[0] if together else np.arange(len(labels))
    error = float(np.clip((1 - same) / 2, RAREST, COMMONEST)) if together and same is not None else ERROR
    classes = probabilities.shape[1]
    said = np.full((len(labels), classes), np.log(error / max(classes - 1, 1)))
    said[np.arange(len(labels)), labels] = np.log1p(-error)
    heads, votes = (np.zeros((int(group.max()) + 1, classes)) for _ in range(2))
    np.add.at(heads, group, np.log(probabilities))
    np.add.at(votes, group, said)
    every = (heads / np.sqrt(np.bincount(group))[:, None] + votes)[group]
    return softmax(every - said, axis=1), softmax(every, axis=1)


def suspected(probabilities: Odds, labels: Labels, groups: ArrayLike, least: float) -> pd.DataFrame:
    """Positions of photos whose label is probably wrong, with `suggested` (class) and its `confidence`, surest first.

    probabilities: out of fold [n, classes]. least: probability of the suggested class given everything, the photo's
    own label included. Source: Northcutt et al. 2021, Confident learning, by cleanlab; both its count matrix and its
    pruning by noise rate must agree.
    """
    from cleanlab.filter import find_label_issues

    others, every = consensus(probabilities, labels, groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cleanlab speaks of classes with few photos
        flagged = find_label_issues(labels, np.clip(others, 1e-9, 1), filter_by="both", n_jobs=1)
    best = every.argmax(1)
    sure = every[np.arange(len(labels)), best]
    where = np.flatnonzero(flagged & (best != labels) & (sure >= least))
    table = pd.DataFrame({"position": where, "suggested": best[where], "confidence": sure[where]})
    return table.sort_values("confidence", ascending=False, kind="stable", ignore_index=True)


def judgeable(labels: Labels, groups: ArrayLike) -> bool:
    """Whether there are enough groups, and two classes, to let photos judge each other's labels."""
    return codes(groups)[1] >= GROUPS and len(np.unique(labels)) >= 2
