"""Does it overfit? The gap between training images and the holdout, in one sentence."""

from __future__ import annotations

import pandas as pd

RELATIVE_LOSS_RISE, MINIMUM_LOSS_RISE = (
    0.05,
    0.01,
)  # a loss has risen where it is higher by this share, and by this many nats
MAXIMUM_GAP_POINTS = (
    10.0  # points of accuracy that are too many between training images and the holdout
)
PERSISTENT_EVALUATIONS = 2  # looks in a row that make a rise persistent


def _select_split(history: pd.DataFrame, split: str) -> pd.DataFrame:
    return history[history["split"] == split].sort_values("step", ignore_index=True)


def find_overfitting_step(history: pd.DataFrame) -> int | None:
    """The first step after which the holdout's loss stays above its lowest while that of training falls, or None.

    history: the artifact's columns step, split (train | holdout) and loss. Two looks in a row make it persistent.
    """
    train, held = _select_split(history, "train"), _select_split(history, "holdout")
    if len(held) <= PERSISTENT_EVALUATIONS or len(train) != len(held):
        return None
    best = int(held["loss"].to_numpy().argmin())
    bar = float(held["loss"][best]) + max(
        MINIMUM_LOSS_RISE, RELATIVE_LOSS_RISE * float(held["loss"][best])
    )
    after = held[best + 1 :]
    risen = after[after["loss"][::-1].gt(bar).cummin()[::-1]]
    fallen = float(train["loss"].iloc[-1]) < float(train["loss"][best])
    return int(risen["step"].iloc[0]) if len(risen) >= PERSISTENT_EVALUATIONS and fallen else None


def describe_overfitting(history: pd.DataFrame, best_step: int) -> str:
    """One sentence on the gap in accuracy (points) between training images and the holdout, at the end."""
    train, held = _select_split(history, "train"), _select_split(history, "holdout")
    if held.empty or train.empty:
        return "overfitting was not judged: there is no holdout"
    gap = 100 * (float(train["accuracy"].iloc[-1]) - float(held["accuracy"].iloc[-1]))
    told = f"train/holdout gap {gap:.1f} points at the end"
    since = find_overfitting_step(history)
    if since is not None:
        return f"overfitting from step {since}: {told}; the weights of step {best_step} were kept"
    if gap > MAXIMUM_GAP_POINTS:
        return f"it generalises poorly, though the holdout's loss did not rise: {told}"
    return f"no overfitting seen: {told}"
