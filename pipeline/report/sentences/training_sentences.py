"""The sentence about the training: overfitting, or the model that was taken over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.domain.statuses import ModelOrigin


def describe_training(training: Mapping[str, Any]) -> str:
    """Return whether the model overfits, or where an untrained one comes from.

    Args:
        training: the artifact of that name.
    """
    match ModelOrigin(training["origin"]):
        case ModelOrigin.CHAMPION:
            return "the champion was taken as it is: nothing was trained"
        case ModelOrigin.USER_FILE:
            return f"{training['model_file']} was taken as it is: nothing was trained"
        case ModelOrigin.TRAINED:
            return _describe_overfitting(training)


def _describe_overfitting(training: Mapping[str, Any]) -> str:
    gap, step = training["accuracy_gap"], training["overfitting_from"]
    if gap is None:
        return "overfitting was not judged: there is no holdout"
    gap_text = f"train/holdout gap {100 * gap:.1f} points at the end"
    if step is not None:
        kept_step = training["best_step"]
        return (
            f"overfitting from step {step}: {gap_text}; the weights of step {kept_step} were kept"
        )
    if training["is_gap_wide"]:
        return f"it generalizes poorly, though the holdout's loss did not rise: {gap_text}"
    return f"no overfitting seen: {gap_text}"
