"""Bounds of an error rate: pipeline/statistics/classification/error_bound.py."""

import numpy as np
import pytest
from scipy import stats

from pipeline.statistics.classification.error_bound import bound_error_rate, count_required_groups


def test_single_images_get_the_bound_of_clopper_and_pearson() -> None:
    losses = (np.arange(400) < 7).astype(float)
    expected = stats.beta.ppf(0.95, 8, 393)
    assert bound_error_rate(losses, np.arange(400), 0.05) == pytest.approx(expected, rel=0.01)


def test_copies_of_an_image_do_not_lower_the_bound() -> None:
    losses = (np.arange(100) < 3).astype(float)
    alone = bound_error_rate(losses, np.arange(100), 0.05)
    assert bound_error_rate(
        np.repeat(losses, 9), np.repeat(np.arange(100), 9), 0.05
    ) == pytest.approx(alone, rel=0.02)


def test_errors_that_are_spread_over_groups_do_not_count_as_more_groups() -> None:
    """A group of which all images are wrong may exist, though none was seen."""
    losses = np.tile(np.arange(30) < 1, 50).astype(float)
    bound = bound_error_rate(losses, np.repeat(np.arange(50), 30), 0.05)
    assert bound > 1 - 0.05 ** (1 / 50)


def test_unequal_groups_count_for_less() -> None:
    sizes = np.r_[np.ones(99, int), 900]
    assert bound_error_rate(np.zeros(999), np.repeat(np.arange(100), sizes), 0.05) > 0.5
    assert bound_error_rate(np.zeros(0), np.zeros(0), 0.05) == 1


@pytest.mark.parametrize("target", [0.01, 0.02, 0.1])
def test_the_required_groups_hold_the_target_without_an_error(target: float) -> None:
    count = count_required_groups(target, 0.05)
    bounds = [bound_error_rate(np.zeros(n), np.arange(n), 0.05) for n in (count - 2, count)]
    assert bounds[1] <= target < bounds[0]
