import numpy as np
import pytest

from pipeline.statistics.classification.selective_prediction import (
    AnsweredImages,
    DeclineStatus,
    apply_decline_rule,
    choose_decline_rule,
    evaluate_coverage,
)


def _images(wrong: np.ndarray, confidence: np.ndarray, group_size: int = 1) -> AnsweredImages:
    groups = np.arange(len(wrong)) // group_size
    return AnsweredImages(wrong.astype(float), confidence, groups)


def _draw_images(seed: int = 0, group_size: int = 1) -> AnsweredImages:
    """Return 1,000 images; the lower the confidence, the more are wrong, 12 % in all."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.5, 1.0, 1000)
    return _images(rng.random(1000) < 2 * (1 - confidence) ** 2, confidence, group_size)


def test_the_rule_answers_as_many_images_as_the_bound_allows() -> None:
    images = _draw_images()
    rule = choose_decline_rule(images, 0.05)
    loose = choose_decline_rule(images, 0.1)
    assert rule["status"] == DeclineStatus.HELD
    assert 0.3 < rule["coverage"] < loose["coverage"] < 0.9
    assert rule["error"] < rule["bound"] <= 0.05
    answered = apply_decline_rule(rule, images.confidence, None)
    assert answered.mean() == pytest.approx(rule["coverage"])
    assert images.losses[answered].mean() == pytest.approx(rule["error"])


def test_images_of_one_group_are_one_observation() -> None:
    wrong, confidence = np.zeros(300, bool), np.full(300, 0.9)
    assert choose_decline_rule(_images(wrong, confidence), 0.02)["coverage"] == 1
    rule = choose_decline_rule(_images(wrong, confidence, group_size=3), 0.02)
    assert rule["status"] == DeclineStatus.LEFT_OUT
    assert (rule["groups"], rule["groups_needed"]) == (100, 149)
    assert apply_decline_rule(rule, confidence, None).all()


def test_a_model_that_is_wrong_at_every_confidence_declines_everything() -> None:
    rule = choose_decline_rule(_images(np.ones(300, bool), np.full(300, 0.9)), 0.02)
    assert (rule["status"], rule["threshold"]) == (DeclineStatus.OUT_OF_REACH, None)


def test_images_of_one_confidence_are_answered_or_declined_together() -> None:
    confidence = np.repeat([0.9, 0.7], [500, 500])
    wrong = np.arange(1000) >= 900
    rule = choose_decline_rule(_images(wrong, confidence), 0.02)
    assert (rule["threshold"], rule["coverage"]) == (0.9, 0.5)


def test_the_error_exceeds_the_target_in_few_draws() -> None:
    everything = _draw_images(seed=10**6)
    exceeded = []
    for seed in range(100):
        rule = choose_decline_rule(_draw_images(seed, group_size=4), 0.05)
        errors = [everything.losses[everything.confidence >= rule["threshold"]].mean()]
        exceeded.append(rule["status"] == DeclineStatus.HELD and errors[0] > 0.06)
    assert np.mean(exceeded) <= 0.05


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
    images = _draw_images()
    cheap = AnsweredImages(images.losses / 4, images.confidence, images.groups)
    whole, part = (choose_decline_rule(item, 0.05)["coverage"] for item in (images, cheap))
    assert part > whole


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
    images = _images(~correct, confidence)
    assert choose_decline_rule(images, 0.02)["coverage"] in (0, 1)
    rule = choose_decline_rule(images, 0.02, light)
    assert rule["status"] == DeclineStatus.HELD
    assert rule["coverage"] > 0.6
    assert 15 < rule["light"] <= 120
    kept = apply_decline_rule(rule, confidence, light)
    assert kept.mean() == pytest.approx(rule["coverage"])
    assert (1 - correct[kept]).mean() == pytest.approx(rule["error"])


def test_no_light_threshold_if_confidence_suffices_or_light_is_unknown() -> None:
    correct, confidence, light = _night(0.2, surely_wrong=False)
    images = _images(~correct, confidence)
    assert choose_decline_rule(images, 0.02, light)["light"] is None
    correct, confidence, light = _night(0.2, surely_wrong=True)
    images = _images(~correct, confidence)
    assert choose_decline_rule(images, 0.02, np.full(1000, np.nan))["light"] is None
    rule = choose_decline_rule(images, 0.02, light)
    assert apply_decline_rule(rule, np.array([1.0, 1.0]), np.array([np.nan, 1.0])).tolist() == [
        True,
        False,
    ]
