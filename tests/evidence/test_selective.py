import numpy as np
import pytest

from pipeline.evidence.selective import answered, decline_rule


def test_the_decline_rule_answers_as_many_as_the_target_allows() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    rule = decline_rule(np.array([True, True, False, True]), confidence, 0.25)
    assert (rule["coverage"], rule["threshold"], rule["error"]) == (1.0, 0.6, 0.25)
    strict = decline_rule(np.array([True, True, False, True]), confidence, 0.1)
    assert (strict["coverage"], strict["threshold"]) == (0.5, 0.8)
    nobody = decline_rule(np.array([False, False]), confidence[:2], 0.1)
    assert (nobody["coverage"], nobody["threshold"]) == (0.0, None)


def test_photos_of_one_confidence_are_answered_or_declined_together() -> None:
    confidence, correct = np.array([0.9, 0.7, 0.7, 0.7]), np.array([True, True, False, False])
    assert decline_rule(correct, confidence, 0.1)["coverage"] == 0.25, "of the three at .7 two are wrong"
    assert decline_rule(correct, confidence, 0.5)["coverage"] == 1.0
    assert decline_rule(correct[::-1], np.full(4, 0.8), 0.1)["threshold"] is None


def test_a_rule_chosen_elsewhere_is_applied_as_it_stands() -> None:
    correct, confidence = np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.2])
    seen = answered(correct, confidence, np.array([0, 0, 1, 2]), 0.7)
    assert (seen["n"], seen["coverage"]) == (4, 0.75)
    assert seen["error"]["value"] == pytest.approx(1 / 3)
    assert seen["error"]["groups"] == 2
    assert answered(correct, confidence, np.arange(4), None) == {"n": 4, "coverage": 0.0, "error": None}
    assert answered(correct[:0], confidence[:0], np.arange(0), 0.5) == {"n": 0, "coverage": 0.0, "error": None}


def test_an_error_that_costs_less_counts_for_less() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    worth = np.array([1.0, 0.9, 0.9, 0.0])
    rule = decline_rule(worth, confidence, 0.1)
    assert (rule["coverage"], rule["threshold"]) == (0.75, 0.7)
    assert rule["error"] == pytest.approx(0.2 / 3)
    seen = answered(worth, confidence, np.arange(4), 0.6)
    assert seen["error"]["value"] == pytest.approx(0.3)
