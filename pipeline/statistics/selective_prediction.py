"""Answering only where the model is sure enough and the image light enough: coverage against error (selective
classification)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.group_intervals import estimate_cluster_mean, sanitize_float

LUMINANCE_LEVEL_COUNT = 20  # levels of light that are tried
MIN_COVERAGE_GAIN = 0.01  # coverage that asking for light as well must bring
Floats = NDArray[np.float64]


def choose_decline_rule(
    utilities: NDArray[Any],
    confidence: Floats,
    target_error: float,
    luminance: Floats | None = None,
) -> dict[str, Any]:
    """The lowest confidence above which the error among answered images stays within `target`, with its coverage; with
    `light` [n] (mean luminance, NaN where unknown) also the light below which nobody is answered, where that lets at
    least `WORTH` more of the images be answered.

    correct: bool [n], or the worth of each answer (0 to 1) where errors cost differently; error is 1 less its mean.

    Source: Geifman and El-Yaniv 2017 (selective classification), without their bound: the rule is chosen on val.
    """
    rule = _choose_confidence_threshold(utilities, confidence, target_error)
    if luminance is None or not len(luminance) or np.isnan(luminance).all():
        return rule
    found = []
    for level in np.unique(
        np.nanquantile(
            luminance, np.linspace(0, 0.5, LUMINANCE_LEVEL_COUNT + 1)[1:], method="higher"
        )
    ):
        bright = ~(luminance < level)
        part = _choose_confidence_threshold(utilities[bright], confidence[bright], target_error)
        found.append(
            {**part, "light": float(level), "coverage": part["coverage"] * float(bright.mean())}
        )
    best = max(found, key=lambda r: (r["coverage"], -r["light"]))
    chosen = best if best["coverage"] >= rule["coverage"] + MIN_COVERAGE_GAIN else rule
    return {**chosen, "n": len(confidence)}


def _choose_confidence_threshold(
    utilities: NDArray[Any], confidence: Floats, target_error: float
) -> dict[str, Any]:
    order = np.argsort(-confidence, kind="stable")
    error = np.cumsum(1.0 - utilities[order]) / np.arange(1, len(order) + 1)
    whole = (
        np.diff(confidence[order], append=-np.inf) < 0
    )  # images of one confidence are answered together
    met = np.flatnonzero((error <= target_error) & whole)
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
    """bool [n]: whom a rule answers; threshold None: nobody; a image of unknown light is asked for confidence alone."""
    if rule["threshold"] is None:
        return np.zeros(len(confidence), dtype=np.bool_)
    kept = confidence >= rule["threshold"]
    least = rule.get("light")
    return np.asarray(
        kept if least is None or luminance is None else kept & ~(luminance < least), dtype=np.bool_
    )


def evaluate_coverage(
    utilities: NDArray[Any], groups: NDArray[Any], is_answered: NDArray[np.bool_]
) -> dict[str, Any]:
    """What a rule that was chosen elsewhere does here: share answered, and the error among those, with its interval
    by group. correct, groups, kept (who is answered): [n]."""
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
