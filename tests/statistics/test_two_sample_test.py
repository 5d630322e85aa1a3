import time

import numpy as np
import pytest

from pipeline.statistics.two_sample_test import UNKNOWN_AUC, compute_two_sample_auc


def _rows(
    rng: np.random.Generator, groups: int = 60, frames: int = 5, shift: float = 0.0
) -> np.ndarray:
    own = rng.normal(size=(groups, 8)).repeat(frames, 0)
    return own + 0.2 * rng.normal(size=own.shape) + shift * np.eye(8)[0]


def test_alike_is_half_and_apart_is_one() -> None:
    rng, group = np.random.default_rng(0), np.repeat(np.arange(60), 5)
    alike = [
        compute_two_sample_auc(_rows(rng), _rows(rng), group, group + 60, seed)
        for seed in range(10)
    ]
    assert np.mean(alike) == pytest.approx(0.5, abs=0.06)
    assert max(alike) < 0.65
    assert compute_two_sample_auc(_rows(rng), _rows(rng, shift=4.0), group, group + 60) > 0.95


def test_a_difference_in_spread_alone_is_seen() -> None:
    rng, group = np.random.default_rng(1), np.arange(300)
    assert (
        compute_two_sample_auc(
            rng.normal(size=(300, 4)), 3 * rng.normal(size=(300, 4)), group, group + 300
        )
        > 0.85
    )


def test_a_group_is_held_out_whole() -> None:
    """Images of groups in both sets give no evidence, though a classifier could memorize them."""
    rng, group = np.random.default_rng(2), np.repeat(np.arange(12), 25)
    base = rng.normal(size=(12, 8)).repeat(25, 0)
    a, b = base + 0.01 * rng.normal(size=base.shape), rng.normal(size=(12, 8)).repeat(25, 0)
    assert compute_two_sample_auc(a, b, group, group + 100) < 0.75
    assert compute_two_sample_auc(a, b, np.arange(300), np.arange(300) + 300) > 0.95


def test_unknown_values_are_filled_and_empty_columns_left_out() -> None:
    rng, group = np.random.default_rng(3), np.arange(100)
    a, b = rng.normal(size=(100, 3)), rng.normal((3.0, 0.0, 0.0), size=(100, 3))
    a[::7, 1] = np.nan
    a[:, 2] = b[:, 2] = np.nan
    assert compute_two_sample_auc(a, b, group, group + 100) > 0.9


def test_nothing_to_hold_out_counts_as_apart() -> None:
    assert (
        compute_two_sample_auc(np.zeros((5, 2)), np.zeros((5, 2)), [0] * 5, range(5)) == UNKNOWN_AUC
    )
    assert compute_two_sample_auc(np.zeros((0, 2)), np.zeros((5, 2)), [], range(5)) == UNKNOWN_AUC
    assert (
        compute_two_sample_auc(
            np.full((5, 1), np.nan), np.full((5, 1), np.nan), range(5), range(5, 10)
        )
        == UNKNOWN_AUC
    )


def test_the_same_seed_gives_the_same_result_fast_enough() -> None:
    rng, group = np.random.default_rng(4), np.arange(300)
    a, b = rng.normal(size=(300, 8)), rng.normal(size=(300, 8))
    first = compute_two_sample_auc(a, b, group, group + 300, 5)
    start = time.perf_counter()
    assert compute_two_sample_auc(a, b, group, group + 300, 5) == first
    assert time.perf_counter() - start < 1.0
