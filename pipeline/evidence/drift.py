"""Has a distribution moved? The population stability index with a test that permutes whole units, and a rank test for
what lies beyond everything seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import hypergeom

from pipeline.evidence.intervals import codes

Floats = NDArray[np.float64]
BINS, SECTORS = 10, 12  # of a plain number by its quantiles, of a circle by equal widths
HALF = 0.5  # added to each bin's count, so that an empty one counts as little seen, not as impossible
MOST = 2_000  # units of a side that are exchanged; more, drawn from all, would change no verdict
BLOCK = 4_000_000  # numbers held at once in a matrix of draws x units


@dataclass(frozen=True)
class Evidence:
    """units: independent observations that arrived and must at least be there; draws: of the permutation test."""

    units: int = 10
    draws: int = 1999
    seed: int = 0


@dataclass(frozen=True)
class Shift:
    """psi: the population stability index, None where nothing is known; p: None where `reason` says why it was not
    tested; units: how many arrived with a known value."""

    psi: float | None
    p: float | None
    units: int
    reason: str | None = None


def cuts(values: ArrayLike, period: float | None = None) -> Floats:
    """Where the bins of a distribution are cut, ascending: at the tenths of `values` [n] (NaN left out) and just
    beyond the least and the greatest; on a circle of that period, into equal sectors."""
    if period:
        return np.linspace(0, period, SECTORS + 1)[1:-1]
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return np.zeros(0)
    inner = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.unique([np.nextafter(known.min(), -np.inf), *inner, known.max()])


def binned(values: ArrayLike, at: Floats, period: float | None = None) -> NDArray[np.intp]:
    """The bin 0..len(at) of each value [n], each cut belonging to the bin below it; -1 for NaN."""
    x = np.asarray(values, dtype=np.float64)
    x = x % period if period else x
    return np.where(np.isnan(x), -1, np.searchsorted(at, x, side="right" if period else "left"))


def stability(expected: Floats, found: Floats) -> Floats:
    """The population stability index of counts [..., bins] against counts [..., bins]: the sum of (found - expected)
    log(found / expected) over shares, 0 where they agree; above .1 is commonly called moderate, above .25 major.

    Half a photo is added to each bin. Source: Siddiqi, Credit Risk Scorecards (2006); Yurdakul 2018 for its size by
    chance, which is why it is tested and not only read.
    """
    e, f = ((c + HALF) / (c + HALF).sum(-1, keepdims=True) for c in (expected, found))
    return np.asarray(((f - e) * np.log(f / e)).sum(-1))


def _draw(units: int, chosen: int, draws: int, rng: np.random.Generator) -> Floats:
    """0/1 [draws, units]: as many units at random as are chosen."""
    drawn = np.zeros((draws, units))
    picks = np.argpartition(rng.random((draws, units)), chosen - 1, axis=1)[:, :chosen]
    np.put_along_axis(drawn, picks, 1.0, axis=1)
    return drawn


def _permuted(known: Floats, arrived: Floats, evidence: Evidence) -> float:
    """p by exchanging whole units (rows of counts, [units, bins]) between the two sides."""
    rng, above = np.random.default_rng(evidence.seed), 0
    sides = [s if len(s) <= MOST else s[rng.choice(len(s), MOST, replace=False)] for s in (known, arrived)]
    counts = np.vstack(sides)
    total, observed = counts.sum(0), float(stability(sides[0].sum(0), sides[1].sum(0)))
    block = max(1, BLOCK // len(counts))
    for start in range(0, evidence.draws, block):
        found = _draw(len(counts), len(sides[1]), min(block, evidence.draws - start), rng) @ counts
        above += int((stability(total - found, found) >= observed - 1e-12).sum())
    return (1 + above) / (evidence.draws + 1)


def shift(
    bins: Sequence[ArrayLike], units: Sequence[ArrayLike], size: int, evidence: Evidence = Evidence()
) -> Shift:
    """How far what arrived has moved from what was known, and whether chance moves it as far.

    bins, units: (known, arrived), each [n]: the bin 0..size-1 of each photo (-1: unknown, left out) and its unit of
    evidence (a visit, a track, a stretch of time). p: units are exchanged whole between the two sides, so it assumes
    that each is an independent draw; whatever all that arrived have in common (one night's weather) it cannot know.
    """
    sides = []
    for b, u in zip(bins, units, strict=True):
        b, u = np.asarray(b, dtype=np.intp), np.asarray(u)[np.asarray(b) >= 0]
        unit, number = codes(u) if len(u) else (np.zeros(0, dtype=np.intp), 0)
        table = np.bincount(unit * size + b[b >= 0], minlength=number * size).reshape(number, size)
        sides.append(table.astype(np.float64))
    known, arrived = (len(side) for side in sides)
    if not known or not arrived:
        return Shift(None, None, arrived, "unknown of the photos known" if arrived else "unknown of what arrived")
    index = float(stability(sides[0].sum(0), sides[1].sum(0)))
    if min(known, arrived) < evidence.units:
        return Shift(index, None, arrived, f"{min(known, arrived)} units; {evidence.units} would do")
    return Shift(index, _permuted(sides[0], sides[1], evidence), arrived)


def beyond(known: int, arrived: int, outside: int, stray: int = 0) -> float:
    """p that at least `outside` of `arrived` units lie beyond all but `stray` of `known` units, on one side, though all
    are drawn alike: the chance that at most `stray` of the `outside + stray` most extreme of all were known."""
    return float(hypergeom.cdf(stray, known + arrived, known, outside + stray))


def apart(values: ArrayLike, known: ArrayLike, period: float) -> NDArray[np.bool_]:
    """Which values [n] lie farther than a 24th of a circle from every known one [m]; NaN lies nowhere."""
    x, k = (np.asarray(v, dtype=np.float64) for v in (values, known))
    k = np.sort(k[~np.isnan(k)] % period)
    if not len(k):
        return np.zeros(len(x), dtype=np.bool_)
    around: Any = np.concatenate([[k[-1] - period], k, [k[0] + period]])
    at = np.clip(np.searchsorted(around, x % period), 1, len(around) - 1)
    nearest = np.minimum(x % period - around[at - 1], around[at] - x % period)
    return np.asarray(nearest > period / 24)
