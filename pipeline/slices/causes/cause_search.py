"""The search for the cause of a slice among all treatments of good images."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd

from pipeline.domain.rules import Mask
from pipeline.remedies import list_remedies, load_remedy
from pipeline.slices.causes.cause_naming import CauseCandidate, name_causes, rank_candidates
from pipeline.slices.causes.good_images import GoodImages
from pipeline.slices.causes.repair_test import (
    add_repairs,
    evaluate_other_remedies,
    should_test_repair,
)
from pipeline.slices.causes.strength_grid import build_strength_grid, list_possible_strengths
from pipeline.slices.causes.treatment_matching import StrengthsByCause, TreatmentMatcher
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.group_sampling import sample_by_group

StrengthInterval = tuple[float, float]
"""Lowest and highest strength."""


def find_causes(
    good_images: GoodImages,
    slice_mask: Mask,
    typical_mask: Mask,
    interventions: pd.DataFrame,
    max_images: int,
    significance_level: float,
) -> tuple[list[CauseCandidate], StrengthInterval | None]:
    """Return the likeliest causes of a confirmed slice, and the strength range of the named one.

    Args:
        good_images: images that are treated.
        slice_mask: whether each image is in the slice, bool [rows].
        typical_mask: whether it is a typical one, bool [rows]; the cause is matched on these.
        interventions: columns `remedy` and `strength`, in the order of the probe.
        max_images: largest number of the slice's images that are compared.
        significance_level: level of the repair test.

    Returns:
        The evaluated candidates, best first, with the named ones marked; no range without a name.
    """
    matcher = TreatmentMatcher(good_images, slice_mask, typical_mask, max_images)
    if not len(good_images.rows) or not len(matcher.slice_rows):
        return [], None
    candidates, strengths = _match_every_cause(matcher)
    candidates.sort(key=lambda candidate: candidate.attribute_distance)
    nearest = candidates[: CONSTANTS.causes.max_tested_candidates]
    evaluated = [matcher.evaluate_candidate(candidate) for candidate in nearest]
    val, tools, seed = good_images.val, good_images.tools, good_images.seed
    failing = np.flatnonzero(slice_mask & val.is_misclassified)
    failing = sample_by_group(val.groups, failing, max_images, np.random.default_rng(seed))
    get_others = cache(lambda: evaluate_other_remedies(val, failing, tools, interventions, seed))

    def rank_tested(candidates: list[CauseCandidate]) -> list[CauseCandidate]:
        """Return the candidates with their repairs, best first."""
        if any(map(should_test_repair, candidates)):
            candidates = add_repairs(val, failing, candidates, tools, get_others(), seed)
        return rank_candidates(candidates, significance_level)

    ranked = rank_tested(evaluated)
    is_matched = ranked[0].auc <= CONSTANTS.causes.max_indistinguishable_auc
    if not ranked[0].can_be_named(significance_level) or not is_matched:
        ranked = rank_tested(matcher.rank_by_attribution(candidates, strengths, ranked))
    best = ranked[0]
    if not best.can_be_named(significance_level):
        return ranked, None
    passing = [other for other in ranked[1:] if other.can_be_named(significance_level)]
    equivalents = matcher.find_equivalents(best, passing)
    named = name_causes(ranked, equivalents, significance_level)
    if not named[0].is_named:
        return named, None
    return named, matcher.find_strength_range(best, strengths[best.remedy, best.cause_words])


def suspect_cause(
    good_images: GoodImages, slice_mask: Mask, max_images: int
) -> tuple[list[CauseCandidate], StrengthInterval | None]:
    """Return the treatment that brings good images nearest to a slice, without a model.

    Args:
        good_images: images that are treated.
        slice_mask: whether each image is in the slice, bool [rows].
        max_images: largest number of the slice's images that are compared.

    Returns:
        One suspected cause and its strength range; nothing if no treatment removes
        `CauseConstants.min_distance_reduction` of the distance from the slice and of the two-sample
        AUC beyond chance, or if the slice differs no more than null slices.
    """
    matcher = TreatmentMatcher(good_images, slice_mask, slice_mask, max_images)
    if not len(good_images.rows) or not len(matcher.slice_rows):
        return [], None
    candidates, strengths = _match_every_cause(matcher)
    best = min(candidates, key=lambda candidate: candidate.attribute_distance)
    remaining_share = 1 - CONSTANTS.causes.min_distance_reduction
    if best.attribute_distance > remaining_share * matcher.measure_untreated_distance():
        return [], None
    if not matcher.slice_difference.is_mostly_explained_by(matcher.measure_auc(best)):
        return [], None
    strength_range = matcher.find_strength_range(best, strengths[best.remedy, best.cause_words])
    return [replace(best, is_named=True, is_suspected=True)], strength_range


def _match_every_cause(matcher: TreatmentMatcher) -> tuple[list[CauseCandidate], StrengthsByCause]:
    """Return every possible cause at its best-matched strength, and the strengths of each.

    A possible cause is one side of neutral of a remedy, if the plug-in has words for it.
    """
    candidates: list[CauseCandidate] = []
    strengths_by_cause: StrengthsByCause = {}
    for remedy in list_remedies():
        plugin = load_remedy(remedy)
        if not plugin.IS_CAUSE:
            continue
        neutral = plugin.NEUTRAL_STRENGTH
        for side in build_strength_grid(plugin.STRENGTHS, neutral):
            is_below = neutral is not None and side[0] < neutral
            if not plugin.CAUSE_WORDS[0 if is_below else 1]:
                continue
            possible = list_possible_strengths(remedy, side)
            candidate = matcher.build_candidate(remedy, possible)
            candidates.append(candidate)
            strengths_by_cause[remedy, candidate.cause_words] = possible
    return candidates, strengths_by_cause
