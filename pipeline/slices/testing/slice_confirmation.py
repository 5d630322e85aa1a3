"""Confirmation of slices by their family-wise p-value, and the matched effects of interventions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.probe_results import ProbeResults
from pipeline.domain.rules import Mask
from pipeline.domain.statuses import SliceStatus
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.group_intervals import encode_groups
from pipeline.statistics.permutation_tests import (
    PermutationTest,
    assign_margin_strata,
    estimate_matched_effect,
)

Floats = NDArray[np.float64]


def _compute_outside_means(probe: ProbeResults, slice_mask: Mask) -> Floats:
    """Return the mean change outside the slice in each image's stratum [probed, interventions].

    Images that an intervention was not tried on have no part in its mean. An image whose stratum
    has no image outside gets its own change.
    """
    strata = assign_margin_strata(~probe.correct, probe.margin)
    change = np.nan_to_num(probe.change)
    weights = probe.cell_weights
    means = np.zeros_like(change)
    for stratum in np.unique(strata):
        inside_stratum = strata == stratum
        outside = inside_stratum & ~slice_mask
        total = weights[outside].sum(0)
        weighted_mean = (change[outside] * weights[outside]).sum(0) / np.where(total > 0, total, 1)
        means[inside_stratum] = np.where(total > 0, weighted_mean, change[inside_stratum])
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
    weights = probe.cell_weights
    total_weights = np.maximum(weights[slice_mask].sum(0), 1e-12)
    residual = (np.nan_to_num(probe.change) - _compute_outside_means(probe, slice_mask)) * weights
    inside = residual[slice_mask] / total_weights
    effects = inside.sum(0)
    groups, group_count = encode_groups(probe.groups[slice_mask])
    influence = inside - effects * (weights[slice_mask] / total_weights)
    group_sums = np.zeros((group_count, len(effects)))
    np.add.at(group_sums, groups, influence)
    variance = (group_sums**2).sum(0) * group_count / max(group_count - 1, 1)
    return effects, np.sqrt(variance)


def choose_intervention(probe: ProbeResults, slice_mask: Mask) -> int | None:
    """Return the intervention that helps most in units of its standard error; None if none helps.

    An intervention that moved nothing on the screened images is judged on those.

    The help is the smaller of the matched effect and the plain gain. An intervention that turns
    every prediction into the class that fails here would repair as much as it breaks.
    """
    if slice_mask.sum() < 2 or not probe.after.shape[1]:
        return None
    effects, standard_errors = estimate_intervention_effects(probe, slice_mask)
    weights = probe.cell_weights[slice_mask]
    changes = np.nan_to_num(probe.change[slice_mask])
    gains = (changes * weights).sum(0) / np.maximum(weights.sum(0), 1e-12)
    help_ratios = np.minimum(effects, gains) / np.maximum(
        standard_errors, CONSTANTS.testing.min_effect_error
    )
    best = int(np.argmax(help_ratios))
    return best if help_ratios[best] > 0 else None


@dataclass(frozen=True)
class SliceEvidence:
    """The tests of a slice, each image under a rule that it did not help to choose.

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
            The p-value of the excess error is the family-wise one.
        q_value: family-wise p-value of the slice. It bounds the false discovery rate too.
        status: whether the slice is confirmed.
    """

    overall: SliceEvidence
    q_value: float
    status: SliceStatus

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
        The test, or None if an intervention was tried on no image of the slice.
    """
    if not probe.after.shape[1]:
        return None
    rows = np.arange(len(chosen_interventions))
    cell_weights = probe.cell_weights[rows, chosen_interventions]
    has_intervention = (chosen_interventions >= 0) & (cell_weights > 0)
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
        cell_weights[has_intervention],
        seed=seed,
        interventions=columns,
    )


def confirm_slice(evidence: SliceEvidence, family_p: float, level: float) -> SliceTest:
    """Return the result of a slice, from its family-wise p-value.

    A slice whose cross-fitted excess is too small to matter is not confirmed, whatever its p-value.

    Args:
        evidence: the tests over all images of the slice, for the estimates.
        family_p: family-wise p-value over all candidates and slices.
        level: level up to which a slice is confirmed.
    """
    is_confirmed = family_p <= level and evidence.excess_test.is_large
    status = SliceStatus.CONFIRMED if is_confirmed else SliceStatus.NOT_CONFIRMED
    excess_test = replace(evidence.excess_test, p=family_p, reason=None)
    return SliceTest(SliceEvidence(excess_test, evidence.effect_test), family_p, status)
