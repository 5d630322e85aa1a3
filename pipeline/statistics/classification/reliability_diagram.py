"""Bins of a reliability diagram: confidence against accuracy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.classification.classification_metrics import CALIBRATION_BIN_COUNT


def compute_reliability_bins(
    confidence: NDArray[np.float64], is_correct: NDArray[np.bool_]
) -> list[dict[str, float | int]]:
    """Return the non-empty bins of equal width, in ascending order.

    Args:
        confidence: probability of each prediction, in [0, 1].
        is_correct: bool [images].

    Returns:
        low, high, n, mean confidence and accuracy of each bin.

    Examples:
        >>> confidence = np.array([0.95, 0.99, 0.2])
        >>> bins = compute_reliability_bins(confidence, np.array([True, False, True]))
        >>> [(round(b["low"], 2), b["n"], b["accuracy"]) for b in bins]
        [(0.2, 1, 1.0), (0.93, 2, 0.5)]
    """
    last = CALIBRATION_BIN_COUNT - 1
    positions = np.minimum((confidence * CALIBRATION_BIN_COUNT).astype(int), last)
    bins: list[dict[str, float | int]] = []
    for position in np.unique(positions).tolist():
        inside = positions == position
        bins.append(
            {
                "low": position / CALIBRATION_BIN_COUNT,
                "high": (position + 1) / CALIBRATION_BIN_COUNT,
                "n": int(inside.sum()),
                "confidence": float(confidence[inside].mean()),
                "accuracy": float(is_correct[inside].mean()),
            }
        )
    return bins
