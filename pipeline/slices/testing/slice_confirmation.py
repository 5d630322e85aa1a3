"""Confirmation on the folds that did not propose: by excess error, or by the matched effect of an intervention."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.rules import Mask
from pipeline.domain.statuses import SliceStatus
from pipeline.domain.validation_set import ProbeResults
from pipeline.statistics.group_intervals import encode_groups
from pipeline.statistics.multiple_testing import adjust_benjamini_hochberg
from pipeline.statistics.permutation_tests import (
    PermutationTest,
    assign_margin_strata,
    estimate_matched_effect,
)

Floats = NDArray[np.float64]


def estimate_intervention_effects(probe: ProbeResults, slice_mask: Mask) -> tuple[Floats, Floats]:
    """Effect of every intervention on the images inside over equally unsure outsiders, and its standard error by
    group: float [interventions] each (the estimate of `evidence.permutation.matched_effect`, for all at once)."""
    strata, change, weights = (
        assign_margin_strata(~probe.correct, probe.margin),
        probe.change,
        probe.weights[:, None],
    )
    mean = np.zeros_like(change)
    for stratum in np.unique(strata):
        here, outside = strata == stratum, (strata == stratum) & ~slice_mask
        if outside.any():
            mean[here] = (change[outside] * weights[outside]).sum(0) / weights[outside].sum()
        else:
            mean[here] = change[here]
    residual = ((change - mean) * weights)[slice_mask] / max(
        float(weights[slice_mask].sum()), 1e-12
    )
    effect = residual.sum(0)
    group, count = encode_groups(probe.groups[slice_mask])
    sums = np.zeros((count, change.shape[1]))
    np.add.at(sums, group, residual - effect * (weights[slice_mask] / weights[slice_mask].sum()))
    return effect, np.sqrt((sums**2).sum(0) * count / max(count - 1, 1))


def compute_matched_residuals(probe: ProbeResults) -> Floats:
    """float [n, interventions]: each image's weighted change less the mean change of all images in its stratum; a
    rule that gathers much of a column is one under which that intervention helps more than elsewhere."""
    strata, residual = assign_margin_strata(~probe.correct, probe.margin), probe.change
    for stratum in np.unique(strata):
        here = strata == stratum
        residual[here] -= np.average(residual[here], axis=0, weights=probe.weights[here])
    return np.asarray(residual * probe.weights[:, None])


def choose_intervention(probe: ProbeResults, slice_mask: Mask) -> int | None:
    """The intervention that helps most, in units of its error; None where nothing helps.

    Help is the smaller of the matched effect and the plain gain: one that only turns every answer into the class that
    fails here would repair as much as it breaks.
    """
    if slice_mask.sum() < 2 or not probe.after.shape[1]:
        return None
    effect, error = estimate_intervention_effects(probe, slice_mask)
    gain = np.average(probe.change[slice_mask], axis=0, weights=probe.weights[slice_mask])
    strength = np.minimum(effect, gain) / np.maximum(error, 0.01)
    best = int(np.argmax(strength))
    return best if strength[best] > 0 else None


@dataclass(frozen=True)
class SliceEvidence:
    """The two tests of one rule on images that it never saw; effect: None where no intervention was chosen."""

    excess_test: PermutationTest
    effect_test: PermutationTest | None


@dataclass(frozen=True)
class SliceTest:
    """whole: over all images that a rule was applied to, for its numbers; its p-values are the smallest of the parts.

    q: the smallest of the slice's q-values, after Benjamini-Hochberg over every part of every slice. best: the part
    that has it (the first where none could be tested)."""

    overall: SliceEvidence
    q_value: float | None
    status: SliceStatus
    best_index: int = 0

    @property
    def excess_test(self) -> PermutationTest:
        """Of the whole."""
        return self.overall.excess_test

    @property
    def effect_test(self) -> PermutationTest | None:
        """Of the whole."""
        return self.overall.effect_test


def run_effect_test(
    probe: ProbeResults, chosen_interventions: NDArray[np.intp], slice_mask: Mask, seed: int
) -> PermutationTest | None:
    """The matched effect where row i was given intervention `chosen[i]` (-1: none chosen for its fold)."""
    rows = chosen_interventions >= 0
    if not (rows & slice_mask).any():
        return None
    part, column = probe.part(rows), chosen_interventions[rows]
    d = part.change[np.arange(rows.sum()), column]
    return estimate_matched_effect(
        d,
        ~part.correct,
        part.margin,
        slice_mask[rows],
        part.groups,
        part.weights,
        seed=seed,
        interventions=column,
    )


def confirm_slices(
    evidence: list[tuple[SliceEvidence, list[SliceEvidence]]], fdr_level: float
) -> list[SliceTest]:
    """Correct over everything tested. tests: of each slice the whole and its parts, one for each rule.

    A slice is confirmed where a part's q is at most `level` with an effect that matters.
    """
    parts = [part for _, found in evidence for part in found]
    flat = [
        t.p if t is not None else None
        for part in parts
        for t in (part.excess_test, part.effect_test)
    ]
    q = iter(adjust_benjamini_hochberg(flat).reshape(-1, 2).tolist() if flat else [])
    return [
        _build_slice_test(whole, [(part, next(q)) for part in found], fdr_level)
        for whole, found in evidence
    ]


def _is_confirmed(evidence: SliceEvidence, q_values: list[float], fdr_level: float) -> bool:
    by_excess = q_values[0] <= fdr_level and evidence.excess_test.is_large
    # what helps images that fail no more than others of their class is no reason to call them a failure
    helped = (
        evidence.effect_test is not None
        and evidence.effect_test.is_large
        and evidence.excess_test.interval.value > 0
    )
    return by_excess or (q_values[1] <= fdr_level and helped)


def _build_slice_test(
    overall: SliceEvidence, evidence: list[tuple[SliceEvidence, list[float]]], fdr_level: float
) -> SliceTest:
    testable = [v for _, both in evidence for v in both if not np.isnan(v)]
    held = [_is_confirmed(part, q, fdr_level) for part, q in evidence]
    untested = SliceStatus.NOT_CONFIRMED if testable else SliceStatus.NOT_TESTABLE
    status = SliceStatus.CONFIRMED if any(held) else untested
    smallest_q = [float(np.nanmin([*q, np.inf])) for _, q in evidence]
    best = min(range(len(evidence)), key=lambda k: (not held[k], smallest_q[k]), default=0)
    smallest = SliceEvidence(
        _take_smallest_p(overall.excess_test, [part.excess_test for part, _ in evidence]),
        None
        if overall.effect_test is None
        else _take_smallest_p(overall.effect_test, [part.effect_test for part, _ in evidence]),
    )
    return SliceTest(smallest, min(testable) if testable else None, status, best)


def _take_smallest_p(
    overall_test: PermutationTest, rule_tests: list[PermutationTest | None]
) -> PermutationTest:
    return replace(
        overall_test,
        p=min((t.p for t in rule_tests if t is not None and t.p is not None), default=None),
    )
