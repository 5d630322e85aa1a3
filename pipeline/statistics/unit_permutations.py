"""Studentized effects of subsets of units, and their permutation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Numbers held at once in a matrix of draws x units.
MAX_MATRIX_ELEMENTS = 4_000_000


@dataclass(frozen=True)
class UnitSums:
    """Weighted sums of values, and sums of weights, by unit and stratum.

    Attributes:
        values: float64 [units, strata].
        weights: float64 [units, strata].
    """

    values: Floats
    weights: Floats


def sum_by_unit(
    values: Floats, weights: Floats, strata: NDArray[np.intp], units: NDArray[np.intp]
) -> UnitSums:
    """Return the sums of values and weights by unit and stratum.

    Args:
        values: [n].
        weights: [n].
        strata: the stratum of each image, 0.., [n].
        units: the unit of each image, 0.., [n].
    """
    shape = (int(units.max()) + 1, int(strata.max()) + 1)
    cell = units * shape[1] + strata
    size = shape[0] * shape[1]
    return UnitSums(
        np.bincount(cell, weights * values, minlength=size).reshape(shape).astype(np.float64),
        np.bincount(cell, weights, minlength=size).reshape(shape).astype(np.float64),
    )


def compute_influence(sums: UnitSums, selection: Floats) -> tuple[Floats, Floats]:
    """Return the effect of each draw, and each unit's influence on its error.

    The influence is linearized and includes the estimated means of the images outside.

    Args:
        sums: sums by unit and stratum.
        selection: 1 if a unit is inside, else 0; float64 [draws, units].

    Returns:
        Effects, float64 [draws]; influences, float64 [draws, units].
    """
    inside, weight = selection @ sums.values, selection @ sums.weights
    outside = sums.weights.sum(0) - weight
    is_comparable = outside > 1e-9 * (1 + weight)
    mean = np.where(
        is_comparable, (sums.values.sum(0) - inside) / np.where(is_comparable, outside, 1.0), 0.0
    )
    weight = np.where(is_comparable, weight, 0.0)
    total = np.maximum(weight.sum(1, keepdims=True), 1e-12)
    effect = (np.where(is_comparable, inside, 0.0) - weight * mean).sum(1, keepdims=True) / total
    usable = is_comparable.astype(np.float64)
    inside_influence = usable @ sums.values.T - (usable * (mean + effect)) @ sums.weights.T
    ratio = np.where(is_comparable, weight / np.where(is_comparable, outside, 1.0), 0.0)
    outside_influence = ratio @ sums.values.T - (ratio * mean) @ sums.weights.T
    return effect[:, 0], np.where(selection > 0, inside_influence, -outside_influence) / total


def estimate_effect_variance(influence: Floats, selection: Floats) -> Floats:
    """Return the variance of the effect [draws], corrected for the number of units."""
    k = selection.sum(1)
    rest = selection.shape[1] - k
    inside = (influence**2 * selection).sum(1) * k / np.maximum(k - 1, 1)
    outside = (influence**2 * (1 - selection)).sum(1) * rest / np.maximum(rest - 1, 1)
    return np.asarray(inside + outside)


def studentize_effects(sums: UnitSums, selection: Floats) -> Floats:
    """Return the effect of each draw divided by its standard error, [draws]."""
    effect, influence = compute_influence(sums, selection)
    spread = np.sqrt(estimate_effect_variance(influence, selection))
    return np.where(
        spread > 1e-12,
        effect / np.maximum(spread, 1e-12),
        np.sign(effect) * 1e9 * (abs(effect) > 1e-12),
    )


def draw_selections(
    selection: Floats, exchange_blocks: NDArray[np.intp], draw_count: int, rng: np.random.Generator
) -> Floats:
    """Return random selections, 0 or 1 [draws, units].

    Each block keeps its observed number of units.

    Args:
        selection: the observed selection, 0 or 1 [units].
        exchange_blocks: the block of each unit, [units].
        draw_count: number of draws.
        rng: generator of the draws.
    """
    drawn = np.zeros((draw_count, len(selection)))
    for kind in np.unique(exchange_blocks):
        units = np.flatnonzero(exchange_blocks == kind)
        inside = int(selection[units].sum())
        if inside:
            picks = np.argpartition(rng.random((draw_count, len(units))), inside - 1, axis=1)[
                :, :inside
            ]
            np.put_along_axis(drawn, units[picks], 1.0, axis=1)
    return drawn


def compute_permutation_p(
    sums: UnitSums, selection: Floats, exchange_blocks: NDArray[np.intp], draws: int, seed: int
) -> tuple[float, float]:
    """Return the studentized effect and its one-sided p-value.

    Source: Janssen 1997, and Chung and Romano 2013 (studentized permutation tests).

    Args:
        sums: sums by unit and stratum.
        selection: the observed selection, 0 or 1 [units].
        exchange_blocks: the block within which units are exchanged, [units].
        draws: number of permutations.
        seed: seed of the permutations.
    """
    observed = float(studentize_effects(sums, selection[None])[0])
    rng = np.random.default_rng(seed)
    block = max(1, MAX_MATRIX_ELEMENTS // len(selection))
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    above = 0
    for size in sizes:
        drawn = draw_selections(selection, exchange_blocks, size, rng)
        above += int((studentize_effects(sums, drawn) >= observed - 1e-9).sum())
    return observed, (1 + above) / (draws + 1)
