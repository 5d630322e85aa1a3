import math

import numpy as np
import pytest

from pipeline.statistics import distribution_shift
from pipeline.statistics.distribution_shift import (
    ShiftEvidence,
    assign_bins,
    compute_bin_edges,
    compute_outlier_p,
    compute_stability_index,
    flag_distant_values,
    measure_shift,
)
from pipeline.statistics.untestable_reasons import UntestableKind, UntestableReason

FEW = ShiftEvidence(draw_count=199)


def _frames(
    units: int, rng: np.random.Generator, frames: int = 3, by: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Values and units: frames of one unit lie close together."""
    middle = rng.normal(by, 1, units)
    return np.repeat(middle, frames) + rng.normal(0, 0.3, units * frames), np.repeat(
        np.arange(units), frames
    )


def _test(known: tuple[np.ndarray, np.ndarray], arrived: tuple[np.ndarray, np.ndarray]) -> float:
    at = compute_bin_edges(known[0])
    bins = [assign_bins(x, at) for x, _ in (known, arrived)]
    shift = measure_shift(bins, [u for _, u in (known, arrived)], len(at) + 1, FEW)
    assert shift.p is not None
    return shift.p


def test_by_unit_chance_alarms_as_often_as_it_may_and_by_frame_far_more_often() -> None:
    rng = np.random.default_rng(0)
    by_unit, by_frame = [], []
    for _ in range(120):
        known, arrived = _frames(300, rng), _frames(20, rng)
        by_unit.append(_test(known, arrived))
        by_frame.append(_test((known[0], np.arange(900)), (arrived[0], np.arange(60))))
    assert np.mean(np.array(by_unit) <= 0.05) <= 0.1
    assert np.mean(np.array(by_frame) <= 0.05) > 0.2


def test_a_shift_is_significant_and_its_index_grows_with_it() -> None:
    rng = np.random.default_rng(1)
    known = _frames(300, rng)
    assert _test(known, _frames(30, rng, by=1.0)) <= 0.01
    at = compute_bin_edges(known[0])
    table = [
        np.bincount(assign_bins(_frames(2000, rng, by=b)[0], at), minlength=len(at) + 1)
        for b in (0.0, 0.5, 1.0, 2.0)
    ]
    indices = [
        float(
            compute_stability_index(
                np.bincount(assign_bins(known[0], at), minlength=len(at) + 1), t
            )
        )
        for t in table
    ]
    assert indices == sorted(indices)
    assert indices[0] < 0.1 < 0.25 < indices[2]


def test_the_index_follows_its_formula() -> None:
    expected, observed = np.array([99.5, 299.5]), np.array([299.5, 99.5])
    assert float(compute_stability_index(expected, observed)) == pytest.approx(
        2 * 0.5 * math.log(3)
    )
    assert float(compute_stability_index(expected, expected)) == 0.0


def test_bins_are_tenths_with_one_beyond_either_end_and_unknown_values_in_none() -> None:
    at = compute_bin_edges(np.arange(101.0))
    assert assign_bins([0, 5, 10, 10.5, 100, 100.1, -0.1, np.nan], at).tolist() == [
        1,
        1,
        1,
        2,
        10,
        11,
        0,
        -1,
    ]
    assert assign_bins([63.9, 64, 64.1], compute_bin_edges([64.0] * 5)).tolist() == [0, 1, 2], (
        "a constant leaves room on both sides"
    )
    assert len(compute_bin_edges([np.nan])) == 0
    assert assign_bins([0, 1.9, 2, 23.9, 24.1], compute_bin_edges([], 24.0), 24.0).tolist() == [
        0,
        0,
        1,
        11,
        0,
    ]


def test_too_few_units_are_not_tested_and_say_what_would_do() -> None:
    shift = measure_shift([np.arange(40) % 2, np.zeros(30, int)], [np.arange(40), np.zeros(30)], 2)
    assert (shift.p, shift.unit_count) == (None, 1)
    assert shift.reason == UntestableReason(UntestableKind.TOO_FEW_UNITS, 1, 10)
    assert shift.psi is not None
    assert shift.psi > 0.2
    nothing = measure_shift([np.arange(40) % 2, np.full(3, -1)], [np.arange(40), np.arange(3)], 2)
    assert (nothing.psi, nothing.reason) == (None, UntestableReason(UntestableKind.UNKNOWN_TRAFFIC))


def test_a_sample_of_very_many_units_agrees_with_all_units(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    known = rng.random(4000) < 0.2
    arrived = rng.random(4000) < 0.3
    whole = measure_shift([known.astype(int), arrived.astype(int)], [np.arange(4000)] * 2, 2, FEW)
    monkeypatch.setattr(distribution_shift, "MAX_PERMUTED_UNITS", 400)
    part = measure_shift([known.astype(int), arrived.astype(int)], [np.arange(4000)] * 2, 2, FEW)
    assert part.psi == whole.psi
    assert part.p is not None
    assert part.p <= 0.05


def test_the_chance_that_the_most_extreme_of_all_arrived() -> None:
    rng, hits = np.random.default_rng(2), 0
    for _ in range(20_000):
        values = rng.random(12)
        hits += int((values[8:] > values[:8].max()).sum() >= 2)
    assert compute_outlier_p(8, 4, 2) == pytest.approx(4 / 12 * 3 / 11)
    assert hits / 20_000 == pytest.approx(compute_outlier_p(8, 4, 2), abs=0.01)
    assert compute_outlier_p(8, 4, 0) == 1.0


def test_stray_units_that_were_known_may_lie_farther_out() -> None:
    rng, hits = np.random.default_rng(3), 0
    for _ in range(20_000):
        values = rng.random(14)
        hits += int((values[8:] > np.sort(values[:8])[-2]).sum() >= 3)
    assert hits / 20_000 == pytest.approx(compute_outlier_p(8, 6, 3, tolerated_units=1), abs=0.01)
    assert compute_outlier_p(8, 6, 3, tolerated_units=1) > compute_outlier_p(8, 6, 3)


def test_new_hours_are_flagged_across_midnight() -> None:
    assert flag_distant_values([23.5, 0.4, 1.7, 3.0, np.nan], [22.6, 23.0, 0.5], 24.0).tolist() == [
        False,
        False,
        True,
        True,
        False,
    ]
    assert not flag_distant_values([3.0], [np.nan], 24.0).any()
