"""The artifact `predictions`: pipeline/learning/inference/prediction_table.py."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.learning.inference.prediction_table import build_predictions

IDS = pd.Series(["x", "y"])
LOGITS = np.array([[1.0, 1.0], [0.0, 3.0]], np.float32)


def test_the_margin_is_the_lead_of_the_label() -> None:
    table = build_predictions(IDS, np.array([0, 0]), LOGITS, ["a", "b"], 1.0)
    assert table["margin"].tolist() == [0.0, -3.0]
    assert table["correct"].tolist() == [True, False]
    assert table["predicted"].tolist() == ["a", "b"], "the first class wins a tie"


def test_the_temperature_changes_confidence_alone() -> None:
    sharp = build_predictions(IDS, np.array([0, 1]), LOGITS, ["a", "b"], 1.0)
    soft = build_predictions(IDS, np.array([0, 1]), LOGITS, ["a", "b"], 3.0)
    assert sharp["confidence"][1] == pytest.approx(1 / (1 + np.exp(-3)))
    assert soft["confidence"][1] == pytest.approx(1 / (1 + np.exp(-1)))
    columns = ["predicted", "margin", "logit_0", "logit_1"]
    assert sharp[columns].equals(soft[columns])


def test_no_image_gives_an_empty_table() -> None:
    none = np.zeros(0, np.int64)
    table = build_predictions(IDS[:0], none, np.zeros((0, 2), np.float32), ["a", "b"], 1.0)
    assert len(table) == 0
    assert {"confidence", "margin", "logit_1"} <= set(table)
