"""Which labels look wrong? Out-of-fold heads on frozen features, what images of one group say of each other, and
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

from pipeline.contracts import ProgressTracker, iterate_silently
from pipeline.learning.inference.temperature_scaling import fit_temperature
from pipeline.learning.training.batch_sampling import ArraySubset
from pipeline.learning.training.holdout_split import assign_folds
from pipeline.statistics.group_intervals import encode_groups

FOLD_COUNT, MINIMUM_GROUPS = 5, 20  # fewer groups than this say nothing about each other's labels
MINIMUM_LABEL_IMAGES = 10  # images of a label that a head sees, where so many are of groups of their own that few can be
PREDICTION_CHUNK_SIZE = 4096  # images that a head is asked about at once
COMPONENT_COUNT = 256  # principal components that a head sees
MINIMUM_LABEL_AGREEMENT = (
    0.9  # share of pairs with one label from which images of a group are held to show one thing
)
DEFAULT_ERROR_RATE, MINIMUM_ERROR_RATE, MAXIMUM_ERROR_RATE = (
    0.01,
    0.002,
    0.1,
)  # share of wrong labels: without pairs to measure it, and its bounds
LabelArray = NDArray[np.int64]
ProbabilityArray = NDArray[np.float64]


def sample_balanced_images(
    labels: LabelArray, groups: ArrayLike, max_images: int, seed: int
) -> NDArray[np.intp]:
    """Positions, in order, of about `most` images [n]: an equal number of each group and label, random within; of more
    than `most` of these, one each of some drawn at random, `EACH` of every label first."""
    key = pd.Series(encode_groups(groups)[0]) * (int(labels.max(initial=0)) + 1) + labels
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    turn[order] = key.iloc[order].groupby(key.iloc[order]).cumcount().to_numpy()
    cap = int(np.searchsorted(np.cumsum(np.bincount(turn)), max_images, side="right"))
    if cap:
        return np.flatnonzero(turn < cap)
    one = order[turn[order] == 0]
    early = pd.Series(labels[one]).groupby(labels[one]).cumcount().to_numpy() < MINIMUM_LABEL_IMAGES
    return np.sort(np.concatenate([one[early], one[~early]])[:max_images])


def predict_out_of_fold(
    layout: NDArray[np.floating] | ArraySubset,
    labels: LabelArray,
    groups: ArrayLike,
    *,
    max_images: int,
    seed: int,
    track: ProgressTracker = iterate_silently,
) -> ProbabilityArray:
    """Probabilities float64 [n, classes] by logistic heads that saw no image of the own group.

    layout: float [n, D] of frozen weights. labels: int [n], each of 0 .. classes - 1 present. A head learns from
    about `most` images, evenly by group; it sees standardized principal components. One temperature calibrates
    all, by the images but the 2 % that fit worst: those may be the wrong labels.
    """
    fold, out = (
        assign_folds(labels, groups, FOLD_COUNT, seed),
        np.full((len(labels), int(labels.max()) + 1), 1e-9),
    )
    learn = np.zeros(len(labels), bool)
    learn[sample_balanced_images(labels, groups, max_images, seed)] = True
    for number in track(range(FOLD_COUNT), total=FOLD_COUNT, unit="label heads"):
        seen, held = learn & (fold != number), fold == number
        if len(np.unique(labels[seen])) < 2 or not held.any():
            continue
        pca = PCA(
            min(COMPONENT_COUNT, layout.shape[1], int(seen.sum()) - 1),
            svd_solver="randomized",
            random_state=seed,
        )
        logistic = LogisticRegression(C=0.01, max_iter=300, tol=1e-3)
        head = make_pipeline(StandardScaler(), pca, StandardScaler(), logistic)
        head.fit(layout[seen].astype(np.float32), labels[seen])
        where = np.flatnonzero(held)
        for part in np.split(
            where, range(PREDICTION_CHUNK_SIZE, len(where), PREDICTION_CHUNK_SIZE)
        ):
            out[np.ix_(part, logistic.classes_)] += head.predict_proba(
                layout[part].astype(np.float32)
            )
    return _calibrate_probabilities(np.log(out / out.sum(1, keepdims=True)), labels)


def _calibrate_probabilities(
    log_probabilities: ProbabilityArray, labels: LabelArray
) -> ProbabilityArray:
    own = log_probabilities[np.arange(len(labels)), labels]
    fits = own >= np.quantile(own, 2 * DEFAULT_ERROR_RATE)
    return np.asarray(
        softmax(log_probabilities / fit_temperature(log_probabilities[fits], labels[fits]), axis=1)
    )


def measure_label_agreement(labels: LabelArray, groups: ArrayLike) -> float | None:
    """Share of the pairs of images of one group that have one label; None where no group has two images."""
    group, _ = encode_groups(groups)
    sizes = np.bincount(group)
    same = pd.Series(labels).groupby([group, labels]).size().to_numpy()
    pairs = int((sizes * (sizes - 1)).sum())
    return float((same * (same - 1)).sum() / pairs) if pairs else None


def compute_label_consensus(
    probabilities: ProbabilityArray, labels: LabelArray, groups: ArrayLike
) -> tuple[ProbabilityArray, ProbabilityArray]:
    """Probabilities [n, classes] of what a image shows, from the heads and labels of its whole group: (without its own
    label, with it).

    Naive Bayes: a label is wrong as often as pairs within groups disagree, and a group of n images counts as sqrt(n)
    heads, since its frames are alike. Where groups mix classes every image stands for itself.
    """
    same = measure_label_agreement(labels, groups)
    together = same is not None and same >= MINIMUM_LABEL_AGREEMENT
    group = encode_groups(groups)[0] if together else np.arange(len(labels))
    error = (
        float(np.clip((1 - same) / 2, MINIMUM_ERROR_RATE, MAXIMUM_ERROR_RATE))
        if together and same is not None
        else DEFAULT_ERROR_RATE
    )
    classes = probabilities.shape[1]
    said = np.full((len(labels), classes), np.log(error / max(classes - 1, 1)))
    said[np.arange(len(labels)), labels] = np.log1p(-error)
    heads, votes = (np.zeros((int(group.max()) + 1, classes)) for _ in range(2))
    np.add.at(heads, group, np.log(probabilities))
    np.add.at(votes, group, said)
    every = (heads / np.sqrt(np.bincount(group))[:, None] + votes)[group]
    return softmax(every - said, axis=1), softmax(every, axis=1)


def find_label_errors(
    probabilities: ProbabilityArray, labels: LabelArray, groups: ArrayLike, min_confidence: float
) -> pd.DataFrame:
    """Positions of images whose label is probably wrong, with `suggested` (class) and its `confidence`, surest first.

    probabilities: out of fold [n, classes]. least: probability of the suggested class given everything, the image's
    own label included. Source: Northcutt et al. 2021, Confident learning, by cleanlab; both its count matrix and its
    pruning by noise rate must agree.
    """
    from cleanlab.filter import find_label_issues

    others, every = compute_label_consensus(probabilities, labels, groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cleanlab speaks of classes with few images
        flagged = find_label_issues(labels, np.clip(others, 1e-9, 1), filter_by="both", n_jobs=1)
    best = every.argmax(1)
    sure = every[np.arange(len(labels)), best]
    where = np.flatnonzero(flagged & (best != labels) & (sure >= min_confidence))
    table = pd.DataFrame({"position": where, "suggested": best[where], "confidence": sure[where]})
    return table.sort_values("confidence", ascending=False, kind="stable", ignore_index=True)


def can_find_label_errors(labels: LabelArray, groups: ArrayLike) -> bool:
    """Whether there are enough groups, and two classes, to let images judge each other's labels."""
    return encode_groups(groups)[1] >= MINIMUM_GROUPS and len(np.unique(labels)) >= 2
