"""Selective prediction: answer only if the model is confident and the image is bright enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.group_intervals import estimate_cluster_mean, sanitize_float

# Luminance thresholds tried: quantiles of the darker half.
LUMINANCE_LEVEL_COUNT = 20
# Coverage that a luminance threshold must add, so that noise does not add one.
MIN_COVERAGE_GAIN = 0.01
Floats = NDArray[np.float64]


def choose_decline_rule(
    utilities: NDArray[Any],
    confidence: Floats,
    target_error: float,
    luminance: Floats | None = None,
) -> dict[str, Any]:
    """Return the decline rule of the highest coverage within a target error.

    The rule requires a minimum confidence. It also requires a minimum luminance if that raises the
    coverage by at least `MIN_COVERAGE_GAIN`.

    Source: Geifman and El-Yaniv 2017 (selective classification), without their bound: the rule is
    chosen on validation.

    Args:
        utilities: correctness, or utility from 0 to 1, of each prediction, [n]; the error is 1 less
            its mean.
        confidence: [n].
        target_error: highest error among answered images.
        luminance: mean luminance of each image, [n], NaN if unknown; None if not measured.
    """
    rule = _choose_confidence_threshold(utilities, confidence, target_error)
    if luminance is None or not len(luminance) or np.isnan(luminance).all():
        return rule
    rules = []
    for level in np.unique(
        np.nanquantile(
            luminance, np.linspace(0, 0.5, LUMINANCE_LEVEL_COUNT + 1)[1:], method="higher"
        )
    ):
        bright = ~(luminance < level)
        part = _choose_confidence_threshold(utilities[bright], confidence[bright], target_error)
        rules.append(
            {**part, "light": float(level), "coverage": part["coverage"] * float(bright.mean())}
        )
    best = max(rules, key=lambda r: (r["coverage"], -r["light"]))
    chosen = best if best["coverage"] >= rule["coverage"] + MIN_COVERAGE_GAIN else rule
    return {**chosen, "n": len(confidence)}


def _choose_confidence_threshold(
    utilities: NDArray[Any], confidence: Floats, target_error: float
) -> dict[str, Any]:
    order = np.argsort(-confidence, kind="stable")
    error = np.cumsum(1.0 - utilities[order]) / np.arange(1, len(order) + 1)
    # Images of one confidence are answered together.
    is_last_of_tie = np.diff(confidence[order], append=-np.inf) < 0
    met = np.flatnonzero((error <= target_error) & is_last_of_tie)
    answered = int(met[-1]) + 1 if len(met) else 0
    return {
        "attribute": "confidence",
        "threshold": sanitize_float(float(confidence[order[answered - 1]]) if answered else None),
        "light": None,
        "target_error": target_error,
        "error": sanitize_float(float(error[answered - 1]) if answered else None),
        "coverage": answered / max(len(order), 1),
        "n": len(order),
        "chosen_on": "val",
    }


def apply_decline_rule(
    rule: Mapping[str, Any], confidence: NDArray[np.floating[Any]], luminance: Floats | None
) -> NDArray[np.bool_]:
    """Return which images a rule answers, bool [n].

    A threshold of None answers none. An image of unknown luminance needs the confidence alone.
    """
    if rule["threshold"] is None:
        return np.zeros(len(confidence), dtype=np.bool_)
    is_confident = confidence >= rule["threshold"]
    least = rule.get("light")
    return np.asarray(
        is_confident if least is None or luminance is None else is_confident & ~(luminance < least),
        dtype=np.bool_,
    )


def evaluate_coverage(
    utilities: NDArray[Any], groups: NDArray[Any], is_answered: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return coverage and error of a rule that was chosen on other images.

    Args:
        utilities: correctness or utility of each prediction, [n].
        groups: the group of each image, [n].
        is_answered: the images that the rule answers, bool [n].
    """
    error = (
        estimate_cluster_mean(1.0 - utilities[is_answered], groups[is_answered])
        if is_answered.any()
        else None
    )
    return {
        "n": len(utilities),
        "coverage": float(is_answered.mean()) if len(is_answered) else 0.0,
        "error": error.build_record() if error else None,
    }
