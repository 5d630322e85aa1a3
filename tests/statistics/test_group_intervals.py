import math

import numpy as np
import pytest

from pipeline.statistics.group_intervals import (
    MAX_REQUIRED_GROUPS,
    estimate_cluster_mean,
    estimate_difference,
    estimate_mean_variance,
    estimate_required_groups,
    sanitize_float,
)


def _world(
    rng: np.random.Generator, groups: int, frames: int, rate: float, shared: float
) -> tuple[np.ndarray, np.ndarray]:
    """Errors [n] that a group's images share to a large part, and groups [n]."""
    group = np.repeat(np.arange(groups), frames)
    own = rng.random(groups)[group]
    errors = np.where(rng.random(len(group)) < shared, own, rng.random(len(group))) < rate
    return errors, group


@pytest.mark.parametrize(("rate", "shared"), [(0.03, 0.1), (0.1, 0.7), (0.5, 0.7)])
def test_the_interval_of_a_share_has_its_coverage_by_group(rate: float, shared: float) -> None:
    rng, hits = np.random.default_rng(1), []
    for _ in range(300):
        interval = estimate_cluster_mean(*_world(rng, 60, 10, rate, shared))
        hits.append(interval.low <= rate <= interval.high)
    assert 0.92 <= np.mean(hits) <= 0.995


def test_counting_images_would_be_four_times_too_sure() -> None:
    errors, group = _world(np.random.default_rng(2), 100, 30, 0.2, 0.7)
    by_group = estimate_cluster_mean(errors, group)
    by_image = estimate_cluster_mean(errors, np.arange(len(group)))
    assert by_group.high - by_group.low > 3 * (by_image.high - by_image.low)


def test_variance_of_equal_groups_is_the_variance_of_their_means() -> None:
    values = np.random.default_rng(3).normal(size=(20, 7))
    expected = values.mean(1).var(ddof=1) / 20
    assert estimate_mean_variance(values.ravel(), np.repeat(np.arange(20), 7)) == pytest.approx(
        expected
    )


def test_no_failure_seen_is_not_no_failure() -> None:
    interval = estimate_cluster_mean(np.zeros(300, bool), np.repeat(np.arange(30), 10))
    assert interval.value == interval.low == 0.0
    assert 0.05 < interval.high < 0.2  # thirty groups, not three hundred images


def test_agreement_within_bounds_is_not_certainty() -> None:
    interval = estimate_cluster_mean(np.zeros(40), np.arange(40), bounds=(-1, 1))
    assert interval.low == pytest.approx(-interval.high)
    assert 0.05 < interval.high < 0.15


def test_one_group_or_none_gives_the_widest_interval() -> None:
    one = estimate_cluster_mean([True, True], ["a", "a"])
    assert (one.value, one.low, one.high, one.groups) == (1.0, 0.0, 1.0, 1)
    none = estimate_cluster_mean([], [])
    assert (none.low, none.high, none.groups, none.n) == (-math.inf, math.inf, 0, 0)
    assert none.build_record() == {"value": None, "low": None, "high": None, "groups": 0, "n": 0}


def test_weights_move_the_mean() -> None:
    weighted = estimate_cluster_mean(
        [0.0, 1.0, 0.0, 1.0], [0, 1, 2, 3], weights=[1, 3, 1, 3], bounds=(-1, 1)
    )
    assert weighted.value == pytest.approx(0.75)
    assert -1 <= weighted.low < weighted.value < weighted.high <= 1


def test_groups_needed_has_the_power_it_promises() -> None:
    needed = estimate_required_groups(0.1, 0.0, 0.3**2)
    rng, detections = np.random.default_rng(4), 0
    for _ in range(500):
        values = rng.normal(0.1, 0.3, needed)
        detections += estimate_cluster_mean(values, np.arange(needed), alpha=0.1).low > 0
    assert detections / 500 == pytest.approx(0.8, abs=0.05)
    assert estimate_required_groups(0.2, 0.0, 0.3**2) < needed


def test_nothing_decides_between_equal_values() -> None:
    assert estimate_required_groups(0.1, 0.1, 1.0) == MAX_REQUIRED_GROUPS
    assert estimate_required_groups(math.nan, 0.0, 1.0) == MAX_REQUIRED_GROUPS
    assert sanitize_float(math.inf) is None
    assert sanitize_float(None) is None


@pytest.mark.parametrize(("then", "now"), [(0.03, 0.03), (0.4, 0.05), (0.1, 0.0)])
def test_the_interval_of_a_difference_has_its_coverage_by_group(then: float, now: float) -> None:
    rng = np.random.default_rng(3)
    hits = []
    for _ in range(300):
        sides = [
            estimate_cluster_mean(*_world(rng, 40, 4, rate, 0.5), bounds=(0, 1))
            for rate in (now, then)
        ]
        interval = estimate_difference(*sides)
        hits.append(interval.low <= now - then <= interval.high)
    assert np.mean(hits) >= 0.93
    assert (interval.groups, interval.n) == (sides[0].groups, sides[0].n)
