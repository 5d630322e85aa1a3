"""Accuracy, macro F1, per-class metrics, confusion matrix and calibration of one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from pipeline.statistics.group_intervals import estimate_cluster_mean

CALIBRATION_BIN_COUNT = 15


def count_confusion(
    labels: ArrayLike, predictions: ArrayLike, class_count: int
) -> NDArray[np.int64]:
    """Return the confusion matrix of class indices [n], int64 [classes, classes]; rows are labels.

    >>> count_confusion([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    cell = np.asarray(labels, dtype=np.int64) * class_count + np.asarray(
        predictions, dtype=np.int64
    )
    return (
        np.bincount(cell, minlength=class_count * class_count)
        .reshape(class_count, class_count)
        .astype(np.int64)
    )


def score_classes(
    confusion_counts: NDArray[np.int64], class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return name, precision, recall, F1 and support of each class.

    A metric is None if the class was never predicted, or has no image.
    """
    hits = np.diag(confusion_counts)
    support = confusion_counts.sum(1)
    predicted = confusion_counts.sum(0)
    return [
        {
            "name": str(name),
            "precision": float(hits[k] / predicted[k]) if predicted[k] else None,
            "recall": float(hits[k] / support[k]) if support[k] else None,
            "f1": float(2 * hits[k] / (support[k] + predicted[k])) if support[k] else None,
            "support": int(support[k]),
        }
        for k, name in enumerate(class_names)
    ]


def compute_calibration_error(
    probabilities: NDArray[np.floating[Any]], labels: ArrayLike
) -> float | None:
    """Return the expected calibration error over 15 equal bins of confidence; None without images.

    Source: Guo et al. 2017, On calibration of modern neural networks.
    """
    if not len(probabilities):
        return None
    confidence = probabilities.max(1)
    correct = probabilities.argmax(1) == np.asarray(labels)
    bins = np.minimum((confidence * CALIBRATION_BIN_COUNT).astype(int), CALIBRATION_BIN_COUNT - 1)
    gaps = np.abs(np.bincount(bins, correct - confidence, minlength=CALIBRATION_BIN_COUNT))
    return float(gaps.sum() / len(confidence))


def score_logits(
    logits: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    groups: ArrayLike,
    class_names: Sequence[str],
    temperature: float = 1.0,
) -> dict[str, Any]:
    """Return the scores of one model as finite JSON.

    Args:
        logits: [n, classes].
        labels: class indices, [n].
        groups: the group of each image, [n].
        class_names: names of the classes.
        temperature: temperature of the calibrated probabilities.

    Returns:
        `accuracy` is an interval by group, `macro_f1` the mean over the classes present,
        `confusion` has labels as rows.
    """
    predicted = logits.argmax(1) if len(logits) else np.zeros(0, dtype=np.intp)
    counts = count_confusion(labels, predicted, len(class_names))
    rows = score_classes(counts, class_names)
    f1 = [row["f1"] for row in rows if row["f1"] is not None]
    return {
        "accuracy": estimate_cluster_mean(predicted == labels, groups).build_record(),
        "macro_f1": float(np.mean(f1)) if f1 else None,
        "classes": rows,
        "confusion": counts.tolist(),
        "calibration": {
            "ece": compute_calibration_error(softmax(logits / temperature, axis=1), labels)
            if len(logits)
            else None,
            "temperature": float(temperature),
        },
    }
