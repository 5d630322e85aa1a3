"""Conditional power after the first seeds: pipeline/statistics/gains/seed_forecast.py."""

import numpy as np
import pytest

from pipeline.statistics.gains.seed_forecast import compute_conditional_power
from pipeline.statistics.paired_comparison import PairedGain, estimate_paired_gain

GROUPS = np.arange(60)
SEEDS, ALPHA = 5, 0.05


def _draw_arms(gain: float, seed_spread: float, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Return correctness of both arms, [seeds, images], whose mean gain varies by seed."""
    rng = np.random.default_rng(draw)
    difficulty = rng.random(len(GROUPS))
    arms = []
    for mean in (0.5 + gain, 0.5):
        accuracy = np.clip(mean + rng.normal(0, seed_spread, (SEEDS, 1)), 0, 1)
        arms.append((difficulty < accuracy).astype(float))
    return arms[0], arms[1]


def _estimate(treated: np.ndarray, control: np.ndarray) -> PairedGain:
    return estimate_paired_gain(treated, control, GROUPS, ALPHA)


@pytest.mark.parametrize("gain", [0.05, 0.12, 0.2])
def test_hardly_a_gain_that_all_seeds_show_is_given_up(gain: float) -> None:
    """The draws that are given up at a power of .1 lose at most 3 % of all draws."""
    forecasts, outcomes = [], []
    for draw in range(400):
        treated, control = _draw_arms(gain, 0.05, draw)
        first = _estimate(treated[:2], control[:2])
        forecasts.append(compute_conditional_power(first, SEEDS, ALPHA))
        outcomes.append(_estimate(treated, control).bound > 0)
    assert np.mean(forecasts) == pytest.approx(np.mean(outcomes), abs=0.2)
    is_futile = np.array(forecasts) < 0.1
    assert (np.array(outcomes) & is_futile).mean() < 0.03


def test_without_a_gain_most_trainings_are_given_up() -> None:
    forecasts = []
    for draw in range(400):
        treated, control = _draw_arms(0.0, 0.05, draw)
        first = _estimate(treated[:2], control[:2])
        forecasts.append(compute_conditional_power(first, 3, ALPHA))
    assert np.mean(np.array(forecasts) < 0.1) > 0.5


def test_a_loss_leaves_no_power_and_a_large_gain_all_of_it() -> None:
    worse = _estimate(*_draw_arms(-0.3, 0.01, 0))
    assert compute_conditional_power(worse, 2 * SEEDS, ALPHA) < 0.01
    better = _estimate(*_draw_arms(0.4, 0.01, 0))
    assert compute_conditional_power(better, 2 * SEEDS, ALPHA) > 0.99


def test_all_seeds_leave_the_bound_itself() -> None:
    shown, open_gain = _estimate(*_draw_arms(0.4, 0.01, 0)), _estimate(*_draw_arms(0.0, 0.01, 0))
    assert compute_conditional_power(shown, SEEDS, ALPHA) == 1.0
    assert compute_conditional_power(open_gain, SEEDS, ALPHA) == 0.0


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_groups_leave_no_power(count: int) -> None:
    gain = estimate_paired_gain(np.ones((2, count)), np.zeros((2, count)), np.arange(count))
    assert compute_conditional_power(gain, SEEDS, ALPHA) == 0.0
