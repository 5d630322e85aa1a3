import numpy as np
import pandas as pd
import pytest

from pipeline.statistics.classification.prediction_changes import (
    build_prediction_changes,
    select_changed_images,
    stack_probabilities,
)
from pipeline.statistics.model_comparison import ModelComparison, ModelOutput

TRUTH = np.array([0, 0, 1, 1])
BEFORE = np.array([[2.0, 0], [0, 2], [2, 0], [0, 1]])
AFTER = np.array([[3.0, 0], [0, 1], [0, 2], [1, 0]])
IDS = pd.Series(["w", "x", "y", "z"])


def _trial(arms: bool) -> ModelComparison:
    models = [ModelOutput("before", None, BEFORE, 2.0)]
    if arms:
        models += [
            ModelOutput("control", 0, BEFORE),
            ModelOutput("targeted", 0, AFTER),
            ModelOutput("targeted", 1, BEFORE),
        ]
    return ModelComparison(TRUTH, np.arange(4), ["cat", "dog"], models)


def test_each_change_has_its_name() -> None:
    flips = build_prediction_changes(IDS, _trial(True))
    assert flips["change"].tolist() == ["still right", "still wrong", "fixed", "broken"]
    assert flips["before"].tolist() == flips["control"].tolist() == ["cat", "dog", "cat", "dog"]
    assert flips["after"].tolist() == ["cat", "dog", "dog", "cat"]
    assert flips["p_before"][0] == pytest.approx(1 / (1 + np.exp(-1.0)))  # at temperature 2
    assert flips["p_after"][2] == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert (flips["saliency"] == -1).all()


def test_without_a_candidate_after_is_before() -> None:
    flips = build_prediction_changes(IDS, _trial(False))
    assert flips["after"].tolist() == flips["before"].tolist() == flips["control"].tolist()
    assert flips["change"].tolist() == ["still right", "still wrong", "still wrong", "still right"]
    assert (flips["p_before"] == flips["p_after"]).all()


def test_kinds_take_turns_and_large_changes_come_first() -> None:
    change = ["still right", "fixed", "fixed", "fixed", "broken", "still wrong"]
    flips = pd.DataFrame(
        {"change": change, "p_before": 0.0, "p_after": [0.9, 0.1, 0.8, 0.5, 0.2, 0.0]}
    )
    assert select_changed_images(flips, 10).tolist() == [2, 4, 5, 3, 1]
    assert select_changed_images(flips, 2).tolist() == [2, 4]
    assert select_changed_images(flips.iloc[:1], 5).tolist() == []


def test_probabilities_are_calibrated_before_and_after() -> None:
    probabilities = stack_probabilities(_trial(True))
    assert probabilities.shape == (4, 2, 2)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=2) == pytest.approx(np.ones((4, 2)))
    flips = build_prediction_changes(IDS, _trial(True))
    assert probabilities[np.arange(4), 0, TRUTH] == pytest.approx(flips["p_before"].to_numpy())
    assert probabilities[np.arange(4), 1, TRUTH] == pytest.approx(flips["p_after"].to_numpy())
    assert (
        stack_probabilities(_trial(False))[:, 0] == stack_probabilities(_trial(False))[:, 1]
    ).all()
