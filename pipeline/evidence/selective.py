"""Answering only where the model is sure enough: coverage against error (selective classification)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.intervals import cluster_mean, finite


def decline_rule(correct: NDArray[Any], confidence: NDArray[np.float64], target: float) -> dict[str, Any]:
    """The lowest confidence above which the error among answered photos stays within `target`, with its coverage.

    correct: bool [n], or the worth of each answer (0 to 1) where errors cost differently; error is 1 less its mean.

    Source: Geifman and El-Yaniv 2017 (selective classification), without their bound: the rule is chosen on val.
    """
    order = np.argsort(-confidence, kind="stable")
    error = np.cumsum(1.0 - correct[order]) / np.arange(1, len(order) + 1)
    whole = np.diff(confidence[order], append=-np.inf) < 0  # photos of one confidence are answered together
    met = np.flatnonzero((error <= target) & whole)
    answered = int(met[-1]) + 1 if len(met) else 0
    return {
        "attribute": "confidence",
        "threshold": finite(float(confidence[order[answered - 1]]) if answered else None),
        "target_error": target,
        "error": finite(float(error[answered - 1]) if answered else None),
        "coverage": answered / max(len(order), 1),
        "n": len(order),
        "chosen_on": "val",
    }


def answered(
    correct: NDArray[Any], confidence: NDArray[np.float64], groups: NDArray[Any], threshold: float | None
) -> dict[str, Any]:
    """What a rule that was chosen elsewhere does here: share answered, and the error among those, with its interval
    by group. correct, confidence, groups: [n]; threshold None: nobody is answered."""
    kept = confidence >= threshold if threshold is not None else np.zeros(len(correct), dtype=np.bool_)
    error = cluster_mean(1.0 - correct[kept], groups[kept]) if kept.any() else None
    return {
        "n": len(correct),
        "coverage": float(kept.mean()) if len(kept) else 0.0,
        "error": error.record() if error else None,
    }
