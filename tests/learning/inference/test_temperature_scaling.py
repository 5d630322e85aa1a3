import numpy as np
import pytest

from pipeline.learning.inference.temperature_scaling import (
    compute_negative_log_likelihood,
    fit_temperature,
)


@pytest.mark.parametrize("planted", [0.5, 1.0, 2.5])
def test_a_planted_temperature_is_recovered(planted: float) -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (20_000, 4))
    odds = np.exp(true) / np.exp(true).sum(1, keepdims=True)
    labels = (odds.cumsum(1) > rng.random((20_000, 1))).argmax(1)
    temperature = fit_temperature(true * planted, labels)
    assert temperature == pytest.approx(planted, rel=0.05)
    assert compute_negative_log_likelihood(
        true * planted, labels, temperature
    ) <= compute_negative_log_likelihood(true * planted, labels)


def test_a_perfect_or_an_empty_holdout_ends_well() -> None:
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, np.int64)) == 1.0
    assert 0.24 < fit_temperature(np.eye(3) * 9, np.arange(3)) < 0.3
    assert 9 < fit_temperature(np.eye(3) * 9, np.array([1, 2, 0])) < 10.1


def test_the_loss_is_stable_for_huge_logits() -> None:
    assert compute_negative_log_likelihood(np.array([[1e4, 0.0]]), np.array([1])) == pytest.approx(
        1e4
    )
