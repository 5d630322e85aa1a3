import numpy as np
import pytest

from pipeline.contracts import RecordContract
from pipeline.statistics.classification.classification_metrics import (
    compute_calibration_error,
    score_logits,
)

NAMES = ["a", "b", "c"]


def test_scores_by_hand() -> None:
    labels, predicted = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 0])
    result = score_logits(np.eye(3)[predicted] * 9, labels, np.arange(5), NAMES)
    assert result["confusion"] == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert result["accuracy"]["value"] == pytest.approx(0.6)
    first = result["classes"][0]
    assert (first["precision"], first["recall"], first["support"]) == (
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
        3,
    )
    assert result["classes"][2] == {
        "name": "c",
        "precision": None,
        "recall": None,
        "f1": None,
        "support": 0,
    }
    assert result["macro_f1"] == pytest.approx((2 / 3 + 0.5) / 2)
    RecordContract(("accuracy", "macro_f1", "classes", "confusion", "calibration")).check_value(
        "scores", result, {}
    )


def test_calibration_error_of_a_boaster() -> None:
    sure = np.full((100, 2), [0.95, 0.05])
    labels = np.r_[np.zeros(60, int), np.ones(40, int)]
    assert compute_calibration_error(sure, labels) == pytest.approx(0.35)
    assert compute_calibration_error(
        sure, np.r_[np.zeros(95, int), np.ones(5, int)]
    ) == pytest.approx(0.0, abs=1e-9)
    assert compute_calibration_error(np.zeros((0, 2)), []) is None


def test_a_temperature_changes_calibration_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    logits = np.eye(3)[np.where(rng.random(300) < 0.7, labels, 0)] * 8
    hot = score_logits(logits, labels, np.arange(300), NAMES, 4.0)
    cold = score_logits(logits, labels, np.arange(300), NAMES, 1.0)
    assert hot["calibration"]["ece"] < cold["calibration"]["ece"]
    assert hot["confusion"] == cold["confusion"]


def test_no_images() -> None:
    empty = score_logits(np.zeros((0, 3)), np.zeros(0, int), [], NAMES)
    assert empty["macro_f1"] is None
    RecordContract(()).check_value("scores", empty, {})
