"""Has a distribution moved? The population stability index with a test that permutes whole units, and a rank test for
what lies beyond everything seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import hypergeom

from pipeline.statistics.group_intervals import encode_groups

Floats = NDArray[np.float64]
QUANTILE_BIN_COUNT, CIRCLE_BIN_COUNT = (
    10,
    12,
)  # of a plain number by its quantiles, of a circle by equal widths
BIN_PSEUDOCOUNT = (
    0.5  # added to each bin's count, so that an empty one counts as little seen, not as impossible
)
MAX_PERMUTED_UNITS = (
    2_000  # units of a side that are exchanged; more, drawn from all, would change no verdict
)
MAX_MATRIX_ELEMENTS = 4_000_000  # numbers held at once in a matrix of draws x units


@dataclass(frozen=True)
class ShiftEvidence:
    """units: independent observations that arrived and must at least be there; draws: of the permutation test."""

    min_units: int = 10
    draw_count: int = 1999
    seed: int = 0


@dataclass(frozen=True)
class ShiftTest:
    """psi: the population stability index, None where nothing is known; p: None where `reason` says why it was not
    tested; units: how many arrived with a known value."""

    psi: float | None
    p: float | None
    unit_count: int
    reason: str | None = None


def compute_bin_edges(values: ArrayLike, period: float | None = None) -> Floats:
    """Where the bins of a distribution are cut, ascending: at the tenths of `values` [n] (NaN left out) and just
    beyond the least and the greatest; on a circle of that period, into equal sectors."""
    if period:
        return np.linspace(0, period, CIRCLE_BIN_COUNT + 1)[1:-1]
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return np.zeros(0)
    inner = np.quantile(known, np.linspace(0, 1, QUANTILE_BIN_COUNT + 1)[1:-1])
    return np.unique([np.nextafter(known.min(), -np.inf), *inner, known.max()])


def assign_bins(values: ArrayLike, edges: Floats, period: float | None = None) -> NDArray[np.intp]:
    """The bin 0..len(at) of each value [n], each cut belonging to the bin below it; -1 for NaN."""
    x = np.asarray(values, dtype=np.float64)
    x = x % period if period else x
    return np.where(np.isnan(x), -1, np.searchsorted(edges, x, side="right" if period else "left"))


def compute_stability_index(expected: Floats, observed: Floats) -> Floats:
    """The population stability index of counts [..., bins] against counts [..., bins]: the sum of (found - expected)
    log(found / expected) over shares, 0 where they agree; above .1 is commonly called moderate, above .25 major.

    Half a image is added to each bin. Source: Siddiqi, Credit Risk Scorecards (2006); Yurdakul 2018 for its size by
    chance, which is why it is tested and not only read.
    """
    e, f = (
        (c + BIN_PSEUDOCOUNT) / (c + BIN_PSEUDOCOUNT).sum(-1, keepdims=True)
        for c in (expected, observed)
    )
    return np.asarray(((f - e) * np.log(f / e)).sum(-1))


def _draw_selections(
    unit_count: int, selected_count: int, draw_count: int, rng: np.random.Generator
) -> Floats:
    """0/1 [draws, units]: as many units at random as are chosen."""
    drawn = np.zeros((draw_count, unit_count))
    picks = np.argpartition(rng.random((draw_count, unit_count)), selected_count - 1, axis=1)[
        :, :selected_count
    ]
    np.put_along_axis(drawn, picks, 1.0, axis=1)
    return drawn


def _compute_permutation_p(
    reference_counts: Floats, traffic_counts: Floats, evidence: ShiftEvidence
) -> float:
    """p by exchanging whole units (rows of counts, [units, bins]) between the two sides."""
    rng, above = np.random.default_rng(evidence.seed), 0
    sides = [
        s
        if len(s) <= MAX_PERMUTED_UNITS
        else s[rng.choice(len(s), MAX_PERMUTED_UNITS, replace=False)]
        for s in (reference_counts, traffic_counts)
    ]
    counts = np.vstack(sides)
    total, observed = (
        counts.sum(0),
        float(compute_stability_index(sides[0].sum(0), sides[1].sum(0))),
    )
    block = max(1, MAX_MATRIX_ELEMENTS // len(counts))
    for start in range(0, evidence.draw_count, block):
        found = (
            _draw_selections(
                len(counts), len(sides[1]), min(block, evidence.draw_count - start), rng
            )
            @ counts
        )
        above += int((compute_stability_index(total - found, found) >= observed - 1e-12).sum())
    return (1 + above) / (evidence.draw_count + 1)


def measure_shift(
    bins: Sequence[ArrayLike],
    units: Sequence[ArrayLike],
    bin_count: int,
    evidence: ShiftEvidence = ShiftEvidence(),
) -> ShiftTest:
    """How far what arrived has moved from what was known, and whether chance moves it as far.

    bins, units: (known, arrived), each [n]: the bin 0..size-1 of each image (-1: unknown, left out) and its unit of
    evidence (a visit, a track, a stretch of time). p: units are exchanged whole between the two sides, so it assumes
    that each is an independent draw; whatever all that arrived have in common (one night's weather) it cannot know.
    """
    sides = []
    for b, u in zip(bins, units, strict=True):
        b, u = np.asarray(b, dtype=np.intp), np.asarray(u)[np.asarray(b) >= 0]
        unit, number = encode_groups(u) if len(u) else (np.zeros(0, dtype=np.intp), 0)
        table = np.bincount(unit * bin_count + b[b >= 0], minlength=number * bin_count).reshape(
            number, bin_count
        )
        sides.append(table.astype(np.float64))
    known, arrived = (len(side) for side in sides)
    if not known or not arrived:
        return ShiftTest(
            None,
            None,
            arrived,
            "unknown of the images known" if arrived else "unknown of what arrived",
        )
    index = float(compute_stability_index(sides[0].sum(0), sides[1].sum(0)))
    if min(known, arrived) < evidence.min_units:
        return ShiftTest(
            index, None, arrived, f"{min(known, arrived)} units; {evidence.min_units} would do"
        )
    return ShiftTest(index, _compute_permutation_p(sides[0], sides[1], evidence), arrived)


def compute_outlier_p(
    reference_units: int, traffic_units: int, outlier_units: int, tolerated_units: int = 0
) -> float:
    """p that at least `outside` of `arrived` units lie beyond all but `stray` of `known` units, on one side, though all
    are drawn alike: the chance that at most `stray` of the `outside + stray` most extreme of all were known."""
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
    """Which values [n] lie farther than a 24th of a circle from every known one [m]; NaN lies nowhere."""
    x, k = (np.asarray(v, dtype=np.float64) for v in (values, reference_values))
    k = np.sort(k[~np.isnan(k)] % period)
    if not len(k):
        return np.zeros(len(x), dtype=np.bool_)
    around: Any = np.concatenate([[k[-1] - period], k, [k[0] + period]])
    at = np.clip(np.searchsorted(around, x % period), 1, len(around) - 1)
    nearest = np.minimum(x % period - around[at - 1], around[at] - x % period)
    return np.asarray(nearest > period / 24)
