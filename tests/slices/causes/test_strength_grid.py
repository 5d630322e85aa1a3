import pytest

from pipeline.slices.causes.strength_grid import (
    build_strength_grid,
    list_midpoints,
    list_possible_strengths,
)


def test_multiplicative_strengths_are_extended_by_powers() -> None:
    below, above = build_strength_grid((0.25, 0.5, 2.0), 1.0)
    assert below[:4] == [0.75, 0.5, 0.375, 0.25]
    assert below[4:] == pytest.approx([0.125, 0.25**2.25, 0.25**3.375, 0.25**5.0625])
    assert above == pytest.approx([1.5, 2.0, 2**1.5, 2**2.25, 2**3.375, 2**5.0625])


def test_strengths_below_neutral_are_halved_towards_zero() -> None:
    assert build_strength_grid((40.0, 10.0), 100.0) == [
        [70.0, 40.0, 25.0, 10.0, 5.0, 2.5, 1.25, 0.625]
    ]


def test_additive_strengths_are_extended_by_growing_steps() -> None:
    assert build_strength_grid((10.0,), 0.0) == [[5.0, 10.0, 15.0, 22.5, 33.75, 50.625]]


def test_strengths_without_neutral_stay_separate() -> None:
    assert build_strength_grid((1.0, 3.0), None) == [[1.0], [3.0]]


def test_midpoints_are_geometric_for_positive_strengths_only() -> None:
    assert list_midpoints([16.0, 1.0, 4.0], 4.0) == [2.0, 8.0]
    assert list_midpoints([16.0, 1.0, 4.0], 1.0) == [2.0]
    assert list_midpoints([0.0, 4.0, 10.0], 4.0) == [2.0, 7.0]


def test_possible_strengths_reach_the_limit_of_the_remedy() -> None:
    (side,) = [side for side in build_strength_grid((-1.0, 0.5), 0.0) if side[0] > 0]
    strengths = list_possible_strengths("fog", side)
    assert strengths[:3] == side[:3] == [0.25, 0.5, 0.75], "the next would exceed all of the light"
    assert 0.9 < strengths[-1] < 1
    assert sorted(set(strengths)) == strengths


def test_possible_strengths_of_discrete_remedies_are_not_interpolated() -> None:
    assert list_possible_strengths("exposure", [0.5, 0.25]) == [0.5, 0.25]
    assert list_possible_strengths("quarter_turns", [0.5, 1.0, 1.5]) == [1.0]
    assert list_possible_strengths("fog", [1.5, 2.0]) == []
