"""The training curves as the table that other tools call `results.csv`."""

from __future__ import annotations

import pandas as pd

TRAINING_LOG_FILE = "results.csv"


def build_training_log(history: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each step of the training, from the artifact `history`.

    Columns: step, passes, then `train/loss`, `train/accuracy`, `holdout/loss`, `holdout/accuracy`
    (NaN where a step was not evaluated), and learning_rate.
    """
    steps = history.sort_values("step").drop_duplicates("step").set_index("step")
    log = steps[["passes"]].copy()
    for split in ("train", "holdout"):
        rows = history[history["split"] == split].set_index("step")
        for metric in ("loss", "accuracy"):
            log[f"{split}/{metric}"] = rows[metric].reindex(log.index)
    return log.assign(learning_rate=steps["rate"]).reset_index()
