"""Confirmation of slices on the half that did not propose them.

A slice is confirmed by its excess error, or by the matched effect of an intervention.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.probe_results import ProbeResults
from pipeline.domain.rules import Mask
from pipeline.domain.statuses import SliceStatus
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.group_intervals import encode_groups
from pipeline.statistics.multiple_testing import adjust_benjamini_hochberg, combine_simes
from pipeline.statistics.permutation_tests import (
    PermutationTest,
    assign_margin_strata,
    estimate_matched_effect,
)

Floats = NDArray[np.float64]


def _compute_outside_means(probe: ProbeResults, slice_mask: Mask) -> Floats:
    """Return the mean change outside the slice in each image's stratum [probed, interventions].

    An image whose stratum has no image outside gets its own change.
    """
    strata = assign_margin_strata(~probe.correct, probe.margin)
    change = probe.change
    weights = probe.weights[:, None]
    means = np.zeros_like(change)
    for stratum in np.unique(strata):
        inside_stratum = strata == stratum
        outside = inside_stratum & ~slice_mask
        if outside.any():
            weighted_sum = (change[outside] * weights[outside]).sum(0)
            means[inside_stratum] = weighted_sum / weights[outside].sum()
        else:
            means[inside_stratum] = change[inside_stratum]
    return means


def estimate_intervention_effects(probe: ProbeResults, slice_mask: Mask) -> tuple[Floats, Floats]:
    """Estimate the matched effect of every intervention on a slice.

    It is the estimate of `estimate_matched_effect` for all interventions at once: the change inside
    the slice less the change of equally unsure images outside.

    Args:
        probe: the probe's results.
        slice_mask: bool [probed].

    Returns:
        The effects and their standard errors by group, float64 [interventions] each.
    """
    weights = probe.weights[:, None]
    total_weight = weights[slice_mask].sum()
    residual = (probe.change - _compute_outside_means(probe, slice_mask)) * weights
    inside = residual[slice_mask] / max(float(total_weight), 1e-12)
    effects = inside.sum(0)
    groups, group_count = encode_groups(probe.groups[slice_mask])
    influence = inside - effects * (weights[slice_mask] / total_weight)
    group_sums = np.zeros((group_count, len(effects)))
    np.add.at(group_sums, groups, influence)
    variance = (group_sums**2).sum(0) * group_count / max(group_count - 1, 1)
    return effects, np.sqrt(variance)


def compute_matched_residuals(probe: ProbeResults) -> Floats:
    """Return float64 [probed, interventions]: weighted change less the mean change in the stratum.

    A rule that gathers much of a column is one under which that intervention helps more than
    elsewhere.
    """
    strata = assign_margin_strata(~probe.correct, probe.margin)
    residual = probe.change
    for stratum in np.unique(strata):
        rows = strata == stratum
        residual[rows] -= np.average(residual[rows], axis=0, weights=probe.weights[rows])
    return np.asarray(residual * probe.weights[:, None])


def choose_intervention(probe: ProbeResults, slice_mask: Mask) -> int | None:
    """Return the intervention that helps most in units of its standard error; None if none helps.

    The help is the smaller of the matched effect and the plain gain. An intervention that turns
    every prediction into the class that fails here would repair as much as it breaks.
    """
    if slice_mask.sum() < 2 or not probe.after.shape[1]:
        return None
    effects, standard_errors = estimate_intervention_effects(probe, slice_mask)
    gains = np.average(probe.change[slice_mask], axis=0, weights=probe.weights[slice_mask])
    help_ratios = np.minimum(effects, gains) / np.maximum(
        standard_errors, CONSTANTS.testing.min_effect_error
    )
    best = int(np.argmax(help_ratios))
    return best if help_ratios[best] > 0 else None


@dataclass(frozen=True)
class SliceEvidence:
    """The tests of a rule, or of a slice, on images that did not propose it.

    Attributes:
        excess_test: excess error over the same classes outside.
        effect_test: matched effect of the chosen intervention; None if none was chosen.
    """

    excess_test: PermutationTest
    effect_test: PermutationTest | None


@dataclass(frozen=True)
class SliceTest:
    """The result of all tests of a slice.

    Attributes:
        overall: tests over all images that a rule of the slice was applied to, for the estimates.
            The p-values are the smallest of the rules' own.
        q_value: q-value of the slice, by Benjamini-Hochberg over slices; None if nothing could be
            tested.
        status: whether the slice is confirmed.
        best_index: the rule with the smallest p-value.
    """

    overall: SliceEvidence
    q_value: float | None
    status: SliceStatus
    best_index: int = 0

    @property
    def excess_test(self) -> PermutationTest:
        """Return the excess error of the whole slice."""
        return self.overall.excess_test

    @property
    def effect_test(self) -> PermutationTest | None:
        """Return the matched effect on the whole slice."""
        return self.overall.effect_test


def run_effect_test(
    probe: ProbeResults, chosen_interventions: NDArray[np.intp], slice_mask: Mask, seed: int
) -> PermutationTest | None:
    """Test the matched effect of the interventions that were chosen for a slice.

    Args:
        probe: the probe's results.
        chosen_interventions: intp [probed], intervention of each image's half; -1 if none.
        slice_mask: bool [probed].
        seed: seed of the permutations.

    Returns:
        The test, or None if no image of the slice has an intervention.
    """
    has_intervention = chosen_interventions >= 0
    if not (has_intervention & slice_mask).any():
        return None
    treated = probe.select_rows(has_intervention)
    columns = chosen_interventions[has_intervention]
    changes = treated.change[np.arange(len(columns)), columns]
    return estimate_matched_effect(
        changes,
        ~treated.correct,
        treated.margin,
        slice_mask[has_intervention],
        treated.groups,
        treated.weights,
        seed=seed,
        interventions=columns,
    )


def confirm_slices(
    evidence: list[tuple[SliceEvidence, list[SliceEvidence]]], fdr_level: float
) -> list[SliceTest]:
    """Return the result of each slice, from one p-value a slice, corrected over slices.

    The tests of a slice's rules are combined by Simes, and Benjamini-Hochberg goes over slices. If
    it went over all tests, one strong slice would bring in several, and let false ones pass.

    Args:
        evidence: for each slice the tests over all of it, and the tests of each rule.
        fdr_level: false discovery rate.
    """
    p_by_slice = []
    for _, rules in evidence:
        p_by_slice.append([p for rule in rules for p in _list_eligible_p_values(rule)])
    q_values = adjust_benjamini_hochberg([combine_simes(p_values) for p_values in p_by_slice])
    results = []
    for (overall, rules), q_value in zip(evidence, q_values.tolist(), strict=True):
        results.append(_build_slice_test(overall, rules, q_value, fdr_level))
    return results


def _list_eligible_p_values(evidence: SliceEvidence) -> list[float | None]:
    """Return the p-values of the excess and of the effect; 1 for what would confirm nothing.

    That is an effect too small to matter, or an intervention that helps images which fail no more
    than others of their class.
    """
    excess, effect = evidence.excess_test, evidence.effect_test
    excess_p = excess.p if excess.p is None or excess.is_large else 1.0
    if effect is None or effect.p is None:
        return [excess_p, None]
    is_helped = effect.is_large and excess.interval.value > 0
    return [excess_p, effect.p if is_helped else 1.0]


def _build_slice_test(
    overall: SliceEvidence, rules: list[SliceEvidence], q_value: float, fdr_level: float
) -> SliceTest:
    """Return the result of one slice.

    Args:
        overall: the tests over the whole slice.
        rules: the tests of each rule.
        q_value: q-value of the slice; NaN if nothing was tested.
        fdr_level: false discovery rate.
    """
    is_tested = bool(np.isfinite(q_value))
    if is_tested and q_value <= fdr_level:
        status = SliceStatus.CONFIRMED
    else:
        status = SliceStatus.NOT_CONFIRMED if is_tested else SliceStatus.NOT_TESTABLE
    by_rule = [combine_simes(_list_eligible_p_values(rule)) for rule in rules]
    known = [np.inf if p is None else p for p in by_rule]
    best = min(range(len(rules)), key=lambda k: known[k], default=0)
    smallest = _take_smallest_p_values(overall, rules)
    return SliceTest(smallest, q_value if is_tested else None, status, best)


def _take_smallest_p_values(overall: SliceEvidence, rules: list[SliceEvidence]) -> SliceEvidence:
    """Return the tests of the whole slice with the smallest p-values of its rules."""
    excess = _replace_p(overall.excess_test, [rule.excess_test for rule in rules])
    if overall.effect_test is None:
        return SliceEvidence(excess, None)
    effect = _replace_p(overall.effect_test, [rule.effect_test for rule in rules])
    return SliceEvidence(excess, effect)


def _replace_p(
    overall_test: PermutationTest, rule_tests: list[PermutationTest | None]
) -> PermutationTest:
    p_values = [test.p for test in rule_tests if test is not None and test.p is not None]
    return replace(overall_test, p=min(p_values, default=None))
