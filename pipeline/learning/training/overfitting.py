"""Overfitting: the gap between training images and the holdout in the training curves."""

from __future__ import annotations

from typing import Any

import pandas as pd

RELATIVE_LOSS_RISE = 0.05
"""A holdout loss has risen if it is higher than the lowest one by this share..."""
MINIMUM_LOSS_RISE = 0.01
"""...and by this many nats; a smaller rise of a tiny loss is noise."""
MAX_GAP = 0.1
"""A larger gap in accuracy between training images and the holdout is called wide."""
PERSISTENT_EVALUATIONS = 2
"""A rise is persistent if it lasts for this many evaluations; a single one is noise."""


def _select_split(history: pd.DataFrame, split: str) -> pd.DataFrame:
    return history[history["split"] == split].sort_values("step", ignore_index=True)


def find_overfitting_step(history: pd.DataFrame) -> int | None:
    """Return the first step of a lasting rise of the holdout loss while the training loss falls.

    Args:
        history: the training curves, with the columns step, split (train | holdout) and loss.

    Returns:
        The step, or None if the holdout loss does not rise persistently or both losses rise.
    """
    train = _select_split(history, "train")
    holdout = _select_split(history, "holdout")
    if len(holdout) <= PERSISTENT_EVALUATIONS or len(train) != len(holdout):
        return None
    best_row = int(holdout["loss"].to_numpy().argmin())
    best_loss = float(holdout["loss"][best_row])
    risen_loss = best_loss + max(MINIMUM_LOSS_RISE, RELATIVE_LOSS_RISE * best_loss)
    later = holdout[best_row + 1 :]
    stays_risen = later["loss"][::-1].gt(risen_loss).cummin()[::-1]
    risen = later[stays_risen]
    has_training_loss_fallen = float(train["loss"].iloc[-1]) < float(train["loss"][best_row])
    if len(risen) < PERSISTENT_EVALUATIONS or not has_training_loss_fallen:
        return None
    return int(risen["step"].iloc[0])


def assess_overfitting(history: pd.DataFrame) -> dict[str, Any]:
    """Return the final gap in accuracy between training images and holdout, and overfitting.

    Args:
        history: the training curves, with the columns step, split, loss and accuracy.

    Returns:
        overfitting_from: the step of `find_overfitting_step`, or None. accuracy_gap: a share; None
        without a holdout. is_gap_wide: whether it is larger than `MAX_GAP`.
    """
    train = _select_split(history, "train")
    holdout = _select_split(history, "holdout")
    gap = None
    if len(train) and len(holdout):
        gap = float(train["accuracy"].iloc[-1]) - float(holdout["accuracy"].iloc[-1])
    return {
        "overfitting_from": find_overfitting_step(history),
        "accuracy_gap": gap,
        "is_gap_wide": gap is not None and gap > MAX_GAP,
    }
