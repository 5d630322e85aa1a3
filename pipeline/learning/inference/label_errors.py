"""Suspected wrong labels, by out-of-fold heads on frozen features and confident learning.

Images of one group judge each other's labels, too.
"""

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
from pipeline.learning.batches.batch_sampling import ArraySubset
from pipeline.learning.inference.temperature_scaling import fit_temperature
from pipeline.statistics.group_intervals import encode_groups
from pipeline.statistics.group_sampling import assign_group_folds, number_within_groups

FOLD_COUNT, MINIMUM_GROUPS = 5, 20  # fewer groups than this say nothing about each other's labels
# Images of a label that a head sees, where so many are of groups of their own that few can be.
MINIMUM_LABEL_IMAGES = 10
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
    """Return positions of about `max_images` images, equally many of each group and label.

    If there are more pairs of group and label than that, some pairs contribute one image each,
    `MINIMUM_LABEL_IMAGES` of every label first.

    Args:
        labels: class indices, [n].
        groups: the group of each image, [n].
        max_images: number of images.
        seed: seed of the draws.
    """
    key = encode_groups(groups)[0] * (int(labels.max(initial=0)) + 1) + labels
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    turn[order] = number_within_groups(key[order])
    cap = int(np.searchsorted(np.cumsum(np.bincount(turn)), max_images, side="right"))
    if cap:
        return np.flatnonzero(turn < cap)
    one = order[turn[order] == 0]
    early = number_within_groups(labels[one]) < MINIMUM_LABEL_IMAGES
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
    """Return probabilities float64 [n, classes] of heads that saw no image of the same group.

    A head sees standardized principal components. One temperature calibrates all heads, without the
    2 % of images that fit worst, which may be the wrong labels.

    Args:
        layout: features of frozen weights, float [n, D].
        labels: class indices, [n]; every class is present.
        groups: the group of each image, [n].
        max_images: images that a head learns from, evenly by group.
        seed: seed of folds and samples.
        track: progress tracker.
    """
    fold = assign_group_folds(labels, groups, FOLD_COUNT, seed)
    out = np.full((len(labels), int(labels.max()) + 1), 1e-9)
    learn = np.zeros(len(labels), bool)
    learn[sample_balanced_images(labels, groups, max_images, seed)] = True
    for number in track(range(FOLD_COUNT), total=FOLD_COUNT, unit="label heads"):
        is_training = learn & (fold != number)
        is_held_out = fold == number
        if len(np.unique(labels[is_training])) < 2 or not is_held_out.any():
            continue
        pca = PCA(
            min(COMPONENT_COUNT, layout.shape[1], int(is_training.sum()) - 1),
            svd_solver="randomized",
            random_state=seed,
        )
        logistic = LogisticRegression(C=0.01, max_iter=300, tol=1e-3)
        head = make_pipeline(StandardScaler(), pca, StandardScaler(), logistic)
        head.fit(layout[is_training].astype(np.float32), labels[is_training])
        positions = np.flatnonzero(is_held_out)
        for part in np.split(
            positions, range(PREDICTION_CHUNK_SIZE, len(positions), PREDICTION_CHUNK_SIZE)
        ):
            out[np.ix_(part, logistic.classes_)] += head.predict_proba(
                layout[part].astype(np.float32)
            )
    return _calibrate_probabilities(np.log(out / out.sum(1, keepdims=True)), labels)


def _calibrate_probabilities(
    log_probabilities: ProbabilityArray, labels: LabelArray
) -> ProbabilityArray:
    label_scores = log_probabilities[np.arange(len(labels)), labels]
    is_typical = label_scores >= np.quantile(label_scores, 2 * DEFAULT_ERROR_RATE)
    return np.asarray(
        softmax(
            log_probabilities / fit_temperature(log_probabilities[is_typical], labels[is_typical]),
            axis=1,
        )
    )


def measure_label_agreement(labels: LabelArray, groups: ArrayLike) -> float | None:
    """Return the share of pairs of one group that have the same label; None without any pair."""
    group, _ = encode_groups(groups)
    sizes = np.bincount(group)
    same = pd.Series(labels).groupby([group, labels]).size().to_numpy()
    pairs = int((sizes * (sizes - 1)).sum())
    return float((same * (same - 1)).sum() / pairs) if pairs else None


def compute_label_consensus(
    probabilities: ProbabilityArray, labels: LabelArray, groups: ArrayLike
) -> tuple[ProbabilityArray, ProbabilityArray]:
    """Return the probability of each class by the heads and labels of the image's whole group.

    Naive Bayes: the error rate of labels is estimated from disagreeing pairs within groups. A group
    of n images counts as sqrt(n) heads, since its frames resemble each other. If groups mix
    classes, every image is judged alone.

    Args:
        probabilities: out-of-fold probabilities, [n, classes].
        labels: class indices, [n].
        groups: the group of each image, [n].

    Returns:
        Probabilities [n, classes] without the image's own label, and with it.
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
    label_votes = np.full((len(labels), classes), np.log(error / max(classes - 1, 1)))
    label_votes[np.arange(len(labels)), labels] = np.log1p(-error)
    group_count = int(group.max()) + 1
    heads = np.zeros((group_count, classes))
    votes = np.zeros((group_count, classes))
    np.add.at(heads, group, np.log(probabilities))
    np.add.at(votes, group, label_votes)
    scores = (heads / np.sqrt(np.bincount(group))[:, None] + votes)[group]
    return softmax(scores - label_votes, axis=1), softmax(scores, axis=1)


def find_label_errors(
    probabilities: ProbabilityArray, labels: LabelArray, groups: ArrayLike, min_confidence: float
) -> pd.DataFrame:
    """Return positions of images with a probably wrong label, surest first.

    `suggested` is the class that replaces the label, `confidence` its probability.

    Source: Northcutt et al. 2021, Confident learning, by cleanlab. Its count matrix and its pruning
    by noise rate must agree.

    Args:
        probabilities: out-of-fold probabilities, [n, classes].
        labels: class indices, [n].
        groups: the group of each image, [n].
        min_confidence: probability of the suggested class, given also the image's own label.
    """
    from cleanlab.filter import find_label_issues

    others, consensus = compute_label_consensus(probabilities, labels, groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cleanlab warns of classes with few images
        flagged = find_label_issues(labels, np.clip(others, 1e-9, 1), filter_by="both", n_jobs=1)
    best = consensus.argmax(1)
    confidence = consensus[np.arange(len(labels)), best]
    positions = np.flatnonzero(flagged & (best != labels) & (confidence >= min_confidence))
    table = pd.DataFrame(
        {"position": positions, "suggested": best[positions], "confidence": confidence[positions]}
    )
    return table.sort_values("confidence", ascending=False, kind="stable", ignore_index=True)


def can_find_label_errors(labels: LabelArray, groups: ArrayLike) -> bool:
    """Return whether there are two classes, and enough groups to judge each other's labels."""
    return encode_groups(groups)[1] >= MINIMUM_GROUPS and len(np.unique(labels)) >= 2
