"""Confirmation on the folds that did not propose: by excess error, or by the matched effect of an intervention."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.intervals import codes
from pipeline.evidence.multiple import benjamini_hochberg
from pipeline.evidence.permutation import Test, margin_strata, matched_effect
from pipeline.slicing.rules import Mask

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Probe:
    """What the probe measured, rows as probed: label and correctness before, margin, correct after each intervention.

    correct: bool [n]; after: bool [n, interventions]; margin: float [n] (true logit less best other);
    groups: [n]; weights: float [n].
    """

    correct: Mask
    after: NDArray[np.bool_]
    margin: Floats
    groups: NDArray[np.intp]
    weights: Floats

    @property
    def change(self) -> Floats:
        """float [n, interventions]: correct after less correct before."""
        return np.asarray(self.after.astype(float) - self.correct[:, None])

    def part(self, rows: NDArray[np.intp] | Mask) -> Probe:
        """The same for some rows."""
        return Probe(self.correct[rows], self.after[rows], self.margin[rows], self.groups[rows], self.weights[rows])


def matched_effects(probe: Probe, inside: Mask) -> tuple[Floats, Floats]:
    """Effect of every intervention on the images inside over equally unsure outsiders, and its standard error by
    group: float [interventions] each (the estimate of `evidence.permutation.matched_effect`, for all at once)."""
    strata, change, weights = margin_strata(~probe.correct, probe.margin), probe.change, probe.weights[:, None]
    mean = np.zeros_like(change)
    for stratum in np.unique(strata):
        here, outside = strata == stratum, (strata == stratum) & ~inside
        if outside.any():
            mean[here] = (change[outside] * weights[outside]).sum(0) / weights[outside].sum()
        else:
            mean[here] = change[here]
    residual = ((change - mean) * weights)[inside] / max(float(weights[inside].sum()), 1e-12)
    effect = residual.sum(0)
    group, count = codes(probe.groups[inside])
    sums = np.zeros((count, change.shape[1]))
    np.add.at(sums, group, residual - effect * (weights[inside] / weights[inside].sum()))
    return effect, np.sqrt((sums**2).sum(0) * count / max(count - 1, 1))


def matched_residuals(probe: Probe) -> Floats:
    """float [n, interventions]: each photo's weighted change less the mean change of all photos in its stratum; a
    rule that gathers much of a column is one under which that intervention helps more than elsewhere."""
    strata, residual = margin_strata(~probe.correct, probe.margin), probe.change
    for stratum in np.unique(strata):
        here = strata == stratum
        residual[here] -= np.average(residual[here], axis=0, weights=probe.weights[here])
    return np.asarray(residual * probe.weights[:, None])


def choose_intervention(probe: Probe, inside: Mask) -> int | None:
    """The intervention that helps most, in units of its error; None where nothing helps.

    Help is the smaller of the matched effect and the plain gain: one that only turns every answer into the class that
    fails here would repair as much as it breaks.
    """
    if inside.sum() < 2 or not probe.after.shape[1]:
        return None
    effect, error = matched_effects(probe, inside)
    gain = np.average(probe.change[inside], axis=0, weights=probe.weights[inside])
    strength = np.minimum(effect, gain) / np.maximum(error, 0.01)
    best = int(np.argmax(strength))
    return best if strength[best] > 0 else None


@dataclass(frozen=True)
class Pair:
    """The two tests of one rule on photos that it never saw; effect: None where no intervention was chosen."""

    excess: Test
    effect: Test | None


@dataclass(frozen=True)
class Tested:
    """whole: over all photos that a rule was applied to, for its numbers; its p-values are the smallest of the parts.

    q: the smallest of the slice's q-values, after Benjamini-Hochberg over every part of every slice. best: the part
    that has it (the first where none could be tested)."""

    whole: Pair
    q: float | None
    status: str  # confirmed | not confirmed | not testable
    best: int = 0

    @property
    def excess(self) -> Test:
        """Of the whole."""
        return self.whole.excess

    @property
    def effect(self) -> Test | None:
        """Of the whole."""
        return self.whole.effect


def effect_of(probe: Probe, chosen: NDArray[np.intp], inside: Mask, seed: int) -> Test | None:
    """The matched effect where row i was given intervention `chosen[i]` (-1: none chosen for its fold)."""
    rows = chosen >= 0
    if not (rows & inside).any():
        return None
    part, column = probe.part(rows), chosen[rows]
    d = part.change[np.arange(rows.sum()), column]
    return matched_effect(
        d, ~part.correct, part.margin, inside[rows], part.groups, part.weights, seed=seed, blocks=column
    )


def judge(tests: list[tuple[Pair, list[Pair]]], level: float) -> list[Tested]:
    """Correct over everything tested. tests: of each slice the whole and its parts, one for each rule.

    A slice is confirmed where a part's q is at most `level` with an effect that matters.
    """
    parts = [part for _, found in tests for part in found]
    flat = [t.p if t is not None else None for part in parts for t in (part.excess, part.effect)]
    q = iter(benjamini_hochberg(flat).reshape(-1, 2).tolist() if flat else [])
    return [_judged(whole, [(part, next(q)) for part in found], level) for whole, found in tests]


def _holds(part: Pair, q: list[float], level: float) -> bool:
    by_excess = q[0] <= level and part.excess.large
    # what helps photos that fail no more than others of their class is no reason to call them a failure
    helped = part.effect is not None and part.effect.large and part.excess.interval.value > 0
    return by_excess or (q[1] <= level and helped)


def _judged(whole: Pair, parts: list[tuple[Pair, list[float]]], level: float) -> Tested:
    testable = [v for _, both in parts for v in both if not np.isnan(v)]
    held = [_holds(part, q, level) for part, q in parts]
    status = "confirmed" if any(held) else "not confirmed" if testable else "not testable"
    smallest_q = [float(np.nanmin([*q, np.inf])) for _, q in parts]
    best = min(range(len(parts)), key=lambda k: (not held[k], smallest_q[k]), default=0)
    smallest = Pair(
        _smallest(whole.excess, [part.excess for part, _ in parts]),
        None if whole.effect is None else _smallest(whole.effect, [part.effect for part, _ in parts]),
    )
    return Tested(smallest, min(testable) if testable else None, status, best)


def _smallest(whole: Test, parts: list[Test | None]) -> Test:
    return replace(whole, p=min((t.p for t in parts if t is not None and t.p is not None), default=None))
