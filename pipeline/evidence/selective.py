"""Answering only where the model is sure enough and the photo light enough: coverage against error (selective
classification)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.intervals import cluster_mean, finite

LIGHTS = 20  # levels of light that are tried
WORTH = 0.01  # coverage that asking for light as well must bring
Floats = NDArray[np.float64]


def decline_rule(
    correct: NDArray[Any], confidence: Floats, target: float, light: Floats | None = None
) -> dict[str, Any]:
    """The lowest confidence above which the error among answered photos stays within `target`, with its coverage; with
    `light` [n] (mean luminance, NaN where unknown) also the light below which nobody is answered, where that lets at
    least `WORTH` more of the photos be answered.

    correct: bool [n], or the worth of each answer (0 to 1) where errors cost differently; error is 1 less its mean.

    Source: Geifman and El-Yaniv 2017 (selective classification), without their bound: the rule is chosen on val.
    """
    rule = _by_confidence(correct, confidence, target)
    if light is None or not len(light) or np.isnan(light).all():
        return rule
    found = []
    for level in np.unique(np.nanquantile(light, np.linspace(0, 0.5, LIGHTS + 1)[1:], method="higher")):
        bright = ~(light < level)
        part = _by_confidence(correct[bright], confidence[bright], target)
        found.append({**part, "light": float(level), "coverage": part["coverage"] * float(bright.mean())})
    best = max(found, key=lambda r: (r["coverage"], -r["light"]))
    chosen = best if best["coverage"] >= rule["coverage"] + WORTH else rule
    return {**chosen, "n": len(confidence)}


def _by_confidence(correct: NDArray[Any], confidence: Floats, target: float) -> dict[str, Any]:
    order = np.argsort(-confidence, kind="stable")
    error = np.cumsum(1.0 - correct[order]) / np.arange(1, len(order) + 1)
    whole = np.diff(confidence[order], append=-np.inf) < 0  # photos of one confidence are answered together
    met = np.flatnonzero((error <= target) & whole)
    answered = int(met[-1]) + 1 if len(met) else 0
    return {
        "attribute": "confidence",
        "threshold": finite(float(confidence[order[answered - 1]]) if answered else None),
        "light": None,
        "target_error": target,
        "error": finite(float(error[answered - 1]) if answered else None),
        "coverage": answered / max(len(order), 1),
        "n": len(order),
        "chosen_on": "val",
    }


def sure_enough(
    rule: Mapping[str, Any], confidence: NDArray[np.floating[Any]], light: Floats | None
) -> NDArray[np.bool_]:
    """bool [n]: whom a rule answers; threshold None: nobody; a photo of unknown light is asked for confidence alone."""
    if rule["threshold"] is None:
        return np.zeros(len(confidence), dtype=np.bool_)
    kept = confidence >= rule["threshold"]
    least = rule.get("light")
    return np.asarray(kept if least is None or light is None else kept & ~(light < least), dtype=np.bool_)


def answered(correct: NDArray[Any], groups: NDArray[Any], kept: NDArray[np.bool_]) -> dict[str, Any]:
    """What a rule that was chosen elsewhere does here: share answered, and the error among those, with its interval
    by group. correct, groups, kept (who is answered): [n]."""
    error = cluster_mean(1.0 - correct[kept], groups[kept]) if kept.any() else None
    return {
        "n": len(correct),
        "coverage": float(kept.mean()) if len(kept) else 0.0,
        "error": error.record() if error else None,
    }
