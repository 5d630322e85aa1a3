"""Selections keep the unit count of each block; a planted effect exceeds its permutations."""

from __future__ import annotations

import numpy as np

from pipeline.statistics.unit_permutations import (
    compute_influence,
    compute_permutation_p,
    draw_selections,
    sum_by_unit,
)


def _plant_effect(size: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    inside = np.arange(60) < 20
    return rng.normal(0, 1, 60) + size * inside, inside.astype(float)


def test_draws_take_as_many_units_of_each_block_as_observed() -> None:
    blocks = np.repeat([0, 1], [10, 20])
    observed = np.zeros(30)
    observed[[0, 1, 2, 10, 11]] = 1
    drawn = draw_selections(observed, blocks, 50, np.random.default_rng(1))
    assert drawn.shape == (50, 30)
    assert (drawn[:, :10].sum(1) == 3).all()
    assert (drawn[:, 10:].sum(1) == 2).all()
    assert len(np.unique(drawn, axis=0)) > 1


def test_the_effect_is_the_difference_of_the_means() -> None:
    values, inside = _plant_effect(2.0)
    zeros = np.zeros(60, dtype=np.intp)
    sums = sum_by_unit(values, np.ones(60), zeros, np.arange(60))
    effect, influence = compute_influence(sums, inside[None])
    expected = values[inside == 1].mean() - values[inside == 0].mean()
    np.testing.assert_allclose(effect, [expected])
    np.testing.assert_allclose(influence[0, inside == 1].sum(), 0, atol=1e-9)


def test_a_planted_effect_is_rarer_than_chance_and_none_is_not() -> None:
    zeros = np.zeros(60, dtype=np.intp)
    p_values = []
    for size in (2.0, 0.0):
        values, inside = _plant_effect(size)
        sums = sum_by_unit(values, np.ones(60), zeros, np.arange(60))
        p_values.append(compute_permutation_p(sums, inside, zeros, 499, 3)[1])
    assert p_values[0] == 1 / 500
    assert p_values[1] > 0.05
