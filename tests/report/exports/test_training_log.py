import numpy as np
import pandas as pd

from pipeline.report.exports.training_log import build_training_log


def test_each_step_is_one_row() -> None:
    history = pd.DataFrame(
        {
            "step": [20, 10, 20],
            "passes": [640, 320, 640],
            "split": ["holdout", "train", "train"],
            "loss": [0.5, 1.0, 0.4],
            "accuracy": [0.8, 0.6, 0.9],
            "rate": [0.1, 0.2, 0.1],
        }
    )
    log = build_training_log(history)
    assert list(log["step"]) == [10, 20]
    assert list(log["train/loss"]) == [1.0, 0.4]
    np.testing.assert_array_equal(log["holdout/accuracy"], [np.nan, 0.8])
    assert list(log["learning_rate"]) == [0.2, 0.1]
