import numpy as np
import pytest

from pipeline.statistics.classification.selective_prediction import (
    apply_decline_rule,
    choose_decline_rule,
    evaluate_coverage,
)


def test_the_decline_rule_covers_as_many_images_as_the_target_allows() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    rule = choose_decline_rule(np.array([True, True, False, True]), confidence, 0.25)
    assert (rule["coverage"], rule["threshold"], rule["error"]) == (1.0, 0.6, 0.25)
    strict = choose_decline_rule(np.array([True, True, False, True]), confidence, 0.1)
    assert (strict["coverage"], strict["threshold"]) == (0.5, 0.8)
    nobody = choose_decline_rule(np.array([False, False]), confidence[:2], 0.1)
    assert (nobody["coverage"], nobody["threshold"]) == (0.0, None)


def test_images_of_one_confidence_are_answered_or_declined_together() -> None:
    confidence, correct = np.array([0.9, 0.7, 0.7, 0.7]), np.array([True, True, False, False])
    assert choose_decline_rule(correct, confidence, 0.1)["coverage"] == 0.25, (
        "of the three at .7 two are wrong"
    )
    assert choose_decline_rule(correct, confidence, 0.5)["coverage"] == 1.0
    assert choose_decline_rule(correct[::-1], np.full(4, 0.8), 0.1)["threshold"] is None


def test_a_rule_chosen_elsewhere_is_applied_as_it_stands() -> None:
    correct, confidence = np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.2])
    kept = apply_decline_rule({"threshold": 0.7}, confidence, None)
    seen = evaluate_coverage(correct, np.array([0, 0, 1, 2]), kept)
    assert (seen["n"], seen["coverage"]) == (4, 0.75)
    assert seen["error"]["value"] == pytest.approx(1 / 3)
    assert seen["error"]["groups"] == 2
    nobody = apply_decline_rule({"threshold": None}, confidence, None)
    assert evaluate_coverage(correct, np.arange(4), nobody) == {
        "n": 4,
        "coverage": 0.0,
        "error": None,
    }
    assert evaluate_coverage(correct[:0], np.arange(0), nobody[:0]) == {
        "n": 0,
        "coverage": 0.0,
        "error": None,
    }


def test_an_error_that_costs_less_counts_for_less() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    worth = np.array([1.0, 0.9, 0.9, 0.0])
    rule = choose_decline_rule(worth, confidence, 0.1)
    assert (rule["coverage"], rule["threshold"]) == (0.75, 0.7)
    assert rule["error"] == pytest.approx(0.2 / 3)
    seen = evaluate_coverage(
        worth, np.arange(4), apply_decline_rule({"threshold": 0.6}, confidence, None)
    )
    assert seen["error"]["value"] == pytest.approx(0.3)


def _night(share: float, surely_wrong: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return correctness, confidence and light of 1,000 images; half of the dark `share` are wrong.

    The wrong ones have high confidence if `surely_wrong`, else low confidence.
    """
    rng = np.random.default_rng(0)
    dark = np.arange(1000) < 1000 * share
    correct = ~(dark & (rng.random(1000) < 0.5))
    informative = np.where(correct, 0.9, 0.2) + rng.uniform(0, 0.05, 1000)
    confidence = rng.uniform(0.8, 1.0, 1000) if surely_wrong else informative
    return correct, confidence, np.where(dark, rng.uniform(5, 25, 1000), rng.uniform(60, 180, 1000))


def test_dark_errors_with_high_confidence_need_a_light_threshold() -> None:
    correct, confidence, light = _night(0.2, surely_wrong=True)
    plain = choose_decline_rule(correct, confidence, 0.02)
    rule = choose_decline_rule(correct, confidence, 0.02, light)
    assert plain["coverage"] < 0.3
    assert rule["coverage"] > 0.78
    assert 15 < rule["light"] <= 70
    assert rule["error"] <= 0.02
    kept = apply_decline_rule(rule, confidence, light)
    assert kept.mean() == pytest.approx(rule["coverage"])
    assert (1 - correct[kept]).mean() == pytest.approx(rule["error"])


def test_no_light_threshold_if_confidence_suffices_or_light_is_unknown() -> None:
    correct, confidence, light = _night(0.2, surely_wrong=False)
    assert choose_decline_rule(correct, confidence, 0.02, light) == choose_decline_rule(
        correct, confidence, 0.02
    )
    unknown = np.full(1000, np.nan)
    correct, confidence, light = _night(0.2, surely_wrong=True)
    assert choose_decline_rule(correct, confidence, 0.02, unknown)["light"] is None
    rule = choose_decline_rule(correct, confidence, 0.02, light)
    assert apply_decline_rule(rule, np.array([1.0, 1.0]), np.array([np.nan, 1.0])).tolist() == [
        True,
        False,
    ]
