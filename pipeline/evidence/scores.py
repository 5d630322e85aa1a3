"""How good are these logits? Accuracy, macro F1, classes, confusion and calibration of one model on one split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from pipeline.evidence.intervals import cluster_mean

BINS = 15


def confusion(truth: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Counts int64 [classes, classes] of class indices [n]: rows are the truth, columns the prediction."""
    cell = np.asarray(truth, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(cell, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def by_class(counts: NDArray[np.int64], names: Sequence[str]) -> list[dict[str, Any]]:
    """precision, recall, f1 (None where nothing was predicted or nothing is there) and support of each class."""
    hits, support, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
    return [
        {
            "name": str(name),
            "precision": float(hits[k] / predicted[k]) if predicted[k] else None,
            "recall": float(hits[k] / support[k]) if support[k] else None,
            "f1": float(2 * hits[k] / (support[k] + predicted[k])) if support[k] else None,
            "support": int(support[k]),
        }
        for k, name in enumerate(names)
    ]


def calibration_error(probabilities: NDArray[np.floating[Any]], truth: ArrayLike) -> float | None:
    """Expected calibration error of probabilities [n, classes] over 15 equal bins of confidence; None without images.

    Source: Guo et al. 2017, On calibration of modern neural networks."""
    if not len(probabilities):
        return None
    confidence = probabilities.max(1)
    correct = probabilities.argmax(1) == np.asarray(truth)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.abs(np.bincount(bins, correct - confidence, minlength=BINS))
    return float(gaps.sum() / len(confidence))


def scores(
    logits: NDArray[np.floating[Any]],
    truth: NDArray[np.integer[Any]],
    groups: ArrayLike,
    names: Sequence[str],
    temperature: float = 1.0,
) -> dict[str, Any]:
    """Finite JSON of one model's logits [n, classes] on images of class truth [n] in groups [n].

    accuracy is an interval by group; macro_f1 the mean over the classes present; confusion rows are the truth.
    """
    predicted = logits.argmax(1) if len(logits) else np.zeros(0, dtype=np.intp)
    counts = confusion(truth, predicted, len(names))
    rows = by_class(counts, names)
    f1 = [row["f1"] for row in rows if row["f1"] is not None]
    return {
        "accuracy": cluster_mean(predicted == truth, groups).record(),
        "macro_f1": float(np.mean(f1)) if f1 else None,
        "classes": rows,
        "confusion": counts.tolist(),
        "calibration": {
            "ece": calibration_error(softmax(logits / temperature, axis=1), truth) if len(logits) else None,
            "temperature": float(temperature),
        },
    }
