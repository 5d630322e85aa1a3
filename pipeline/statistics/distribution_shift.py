"""Shifts of distributions, tested by permutation of whole units.

The population stability index measures a shift; a rank test finds values beyond everything known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import hypergeom

from pipeline.statistics.group_intervals import encode_groups
from pipeline.statistics.untestable_reasons import UntestableKind, UntestableReason

Floats = NDArray[np.float64]
# Bins of a plain number, by its quantiles.
QUANTILE_BIN_COUNT = 10
# Bins of a circular value, of equal width.
CIRCLE_BIN_COUNT = 12
# Added to the count of each bin: an empty bin counts as rare, not as impossible.
BIN_PSEUDOCOUNT = 0.5
# Units of a side that are exchanged. A random sample of them: more would change no result.
MAX_PERMUTED_UNITS = 2_000
# Numbers held at once in a matrix of draws x units.
MAX_MATRIX_ELEMENTS = 4_000_000


@dataclass(frozen=True)
class ShiftEvidence:
    """What a shift test needs.

    Attributes:
        min_units: fewest independent units on either side.
        draw_count: number of permutations.
        seed: seed of the permutations.
    """

    min_units: int = 10
    draw_count: int = 1999
    seed: int = 0


@dataclass(frozen=True)
class ShiftTest:
    """The result of a shift test.

    Attributes:
        psi: population stability index; None if nothing is known.
        p: p-value; None if not tested.
        unit_count: number of arrived units with a known value.
        reason: why it was not tested; None if it was.
    """

    psi: float | None
    p: float | None
    unit_count: int
    reason: UntestableReason | None = None


def compute_bin_edges(values: ArrayLike, period: float | None = None) -> Floats:
    """Return ascending bin edges: the tenths of `values` [n], and just beyond both ends.

    NaN is left out. On a circle of the given period the bins are equal sectors.
    """
    if period:
        return np.linspace(0, period, CIRCLE_BIN_COUNT + 1)[1:-1]
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return np.zeros(0)
    inner = np.quantile(known, np.linspace(0, 1, QUANTILE_BIN_COUNT + 1)[1:-1])
    return np.unique([np.nextafter(known.min(), -np.inf), *inner, known.max()])


def assign_bins(values: ArrayLike, edges: Floats, period: float | None = None) -> NDArray[np.intp]:
    """Return the bin 0..len(edges) of each value [n]; -1 for NaN.

    Each edge belongs to the bin below it.

    Args:
        values: the values, [n].
        edges: edges of `compute_bin_edges`.
        period: period of a circular value; None for a plain number.

    >>> assign_bins([1.0, 2.5, float("nan")], np.array([1.0, 2.0])).tolist()
    [0, 2, -1]
    """
    x = np.asarray(values, dtype=np.float64)
    x = x % period if period else x
    return np.where(np.isnan(x), -1, np.searchsorted(edges, x, side="right" if period else "left"))


def compute_stability_index(expected: Floats, observed: Floats) -> Floats:
    """Return the population stability index of observed against expected counts [..., bins].

    It is the sum of (observed - expected) log(observed / expected) over shares: 0 if they agree.
    Above .1 is commonly called moderate, above .25 major. Half an image is added to each bin.

    Source: Siddiqi 2006, Credit Risk Scorecards. Yurdakul 2018 gives its size by chance, which is
    why it is tested and not only read.

    >>> float(compute_stability_index(np.array([5.0, 5.0]), np.array([5.0, 5.0])))
    0.0
    """
    e = _compute_bin_shares(expected)
    f = _compute_bin_shares(observed)
    return np.asarray(((f - e) * np.log(f / e)).sum(-1))


def _compute_bin_shares(counts: Floats) -> Floats:
    smoothed = counts + BIN_PSEUDOCOUNT
    return np.asarray(smoothed / smoothed.sum(-1, keepdims=True))


def _draw_selections(
    unit_count: int, selected_count: int, draw_count: int, rng: np.random.Generator
) -> Floats:
    """Return random selections of `selected_count` units, 0 or 1 [draws, units]."""
    drawn = np.zeros((draw_count, unit_count))
    picks = np.argpartition(rng.random((draw_count, unit_count)), selected_count - 1, axis=1)[
        :, :selected_count
    ]
    np.put_along_axis(drawn, picks, 1.0, axis=1)
    return drawn


def _compute_permutation_p(
    reference_counts: Floats, traffic_counts: Floats, evidence: ShiftEvidence
) -> float:
    """Return the p-value of exchanging whole units between the two sides.

    Args:
        reference_counts: counts [units, bins].
        traffic_counts: counts [units, bins].
        evidence: number of permutations and seed.
    """
    rng = np.random.default_rng(evidence.seed)
    above = 0
    sides = [
        s
        if len(s) <= MAX_PERMUTED_UNITS
        else s[rng.choice(len(s), MAX_PERMUTED_UNITS, replace=False)]
        for s in (reference_counts, traffic_counts)
    ]
    counts = np.vstack(sides)
    total = counts.sum(0)
    observed = float(compute_stability_index(sides[0].sum(0), sides[1].sum(0)))
    block = max(1, MAX_MATRIX_ELEMENTS // len(counts))
    for start in range(0, evidence.draw_count, block):
        drawn = (
            _draw_selections(
                len(counts), len(sides[1]), min(block, evidence.draw_count - start), rng
            )
            @ counts
        )
        above += int((compute_stability_index(total - drawn, drawn) >= observed - 1e-12).sum())
    return (1 + above) / (evidence.draw_count + 1)


def measure_shift(
    bins: Sequence[ArrayLike],
    units: Sequence[ArrayLike],
    bin_count: int,
    evidence: ShiftEvidence = ShiftEvidence(),
) -> ShiftTest:
    """Test how far a distribution has shifted.

    Units are exchanged whole between both sides, so the test assumes that each unit is an
    independent draw. It cannot know of anything that all arrived units share, such as the weather
    of one night.

    Args:
        bins: bins (0..bin_count - 1, -1 if unknown) of the reference and of the traffic, [n] each.
        units: units of evidence (a visit, a track, a stretch of time) of both, [n] each.
        bin_count: number of bins.
        evidence: fewest units, number of permutations and seed.
    """
    sides = []
    for b, u in zip(bins, units, strict=True):
        b, u = np.asarray(b, dtype=np.intp), np.asarray(u)[np.asarray(b) >= 0]
        unit, number = encode_groups(u) if len(u) else (np.zeros(0, dtype=np.intp), 0)
        table = np.bincount(unit * bin_count + b[b >= 0], minlength=number * bin_count).reshape(
            number, bin_count
        )
        sides.append(table.astype(np.float64))
    known = len(sides[0])
    arrived = len(sides[1])
    if not known or not arrived:
        kind = UntestableKind.UNKNOWN_REFERENCE if arrived else UntestableKind.UNKNOWN_TRAFFIC
        return ShiftTest(None, None, arrived, UntestableReason(kind))
    index = float(compute_stability_index(sides[0].sum(0), sides[1].sum(0)))
    if min(known, arrived) < evidence.min_units:
        reason = UntestableReason(
            UntestableKind.TOO_FEW_UNITS, min(known, arrived), evidence.min_units
        )
        return ShiftTest(index, None, arrived, reason)
    return ShiftTest(index, _compute_permutation_p(sides[0], sides[1], evidence), arrived)


def compute_outlier_p(
    reference_units: int, traffic_units: int, outlier_units: int, tolerated_units: int = 0
) -> float:
    """Return the p-value of arrived units beyond the reference on one side.

    It is the chance that at most `tolerated_units` of the most extreme units are of the reference,
    if all units have one distribution.

    Args:
        reference_units: number of reference units.
        traffic_units: number of arrived units.
        outlier_units: arrived units beyond all but `tolerated_units` of the reference.
        tolerated_units: reference units that may be as extreme.

    >>> round(compute_outlier_p(10, 10, 3), 4)
    0.1053
    """
    return float(
        hypergeom.cdf(
            tolerated_units,
            reference_units + traffic_units,
            reference_units,
            outlier_units + tolerated_units,
        )
    )


def flag_distant_values(
    values: ArrayLike, reference_values: ArrayLike, period: float
) -> NDArray[np.bool_]:
    """Return which values [n] are farther than a 24th of a circle from every reference value [m].

    NaN is never distant.
    """
    x = np.asarray(values, dtype=np.float64)
    k = np.asarray(reference_values, dtype=np.float64)
    k = np.sort(k[~np.isnan(k)] % period)
    if not len(k):
        return np.zeros(len(x), dtype=np.bool_)
    around: Any = np.concatenate([[k[-1] - period], k, [k[0] + period]])
    positions = np.clip(np.searchsorted(around, x % period), 1, len(around) - 1)
    nearest = np.minimum(x % period - around[positions - 1], around[positions] - x % period)
    return np.asarray(nearest > period / 24)
