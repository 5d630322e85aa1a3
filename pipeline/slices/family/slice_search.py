"""The slices of a validation set: found in one family, with the rule that each half chooses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.contracts import ProgressTracker, iterate_silently
from pipeline.domain.rules import Mask
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import ProposedSlice, assign_halves, compute_overlap
from pipeline.slices.candidates.rule_application import AppliedRule, apply_rule
from pipeline.slices.candidates.typicality import compute_coordinates
from pipeline.slices.family.candidate_family import CandidateFamily, build_candidate_family
from pipeline.slices.family.family_search import (
    FamilySearch,
    FamilySlice,
    choose_for_half,
    list_related,
)
from pipeline.slices.finder_constants import CONSTANTS


@dataclass(frozen=True)
class FinderSettings:
    """The finder's settings, see `pipeline.stages.cluster.Config`."""

    max_slices: int = 6
    min_images: int = 20
    min_overlap: float = 0.5


def search_family(
    val: ValidationSet, settings: FinderSettings, seed: int
) -> tuple[CandidateFamily, list[FamilySlice]]:
    """Return the family of candidates, and its slices, the most conspicuous first.

    Args:
        val: the validation set.
        settings: the finder's settings.
        seed: seed of clusterings and permutations.
    """
    family = build_candidate_family(val, settings.min_images, seed)
    if not val.is_misclassified.any() or not len(family.parts):
        return family, []
    search = FamilySearch(val, family, seed, settings.min_images)
    return family, search.find_slices(settings.max_slices)


def find_slices(
    val: ValidationSet,
    settings: FinderSettings,
    seed: int,
    track_progress: ProgressTracker = iterate_silently,
) -> list[ProposedSlice]:
    """Return the slices, first those that the family-wise level admits, by recoverable errors.

    Args:
        val: the validation set.
        settings: the finder's settings.
        seed: seed of clusterings and permutations.
        track_progress: progress over the halves.
    """
    halves = assign_halves(val.folds)
    if len(np.unique(halves)) < 2:
        return []
    family, found = search_family(val, settings, seed)
    related = [list_related(family, item, settings.min_overlap) for item in found]
    applied: list[dict[int, AppliedRule]] = [{} for _ in found]
    for half in track_progress((0, 1), total=2, unit="halves"):
        is_proposing = halves != half
        space = compute_coordinates(val.frame, val.embeddings, is_proposing)
        for item, rows, rules in zip(found, related, applied, strict=True):
            rule = choose_for_half(val, family, item, rows, is_proposing)
            rules[half] = apply_rule(val, rule, family.reference_distances, is_proposing, space)
    slices = []
    for item, rules in zip(found, applied, strict=True):
        slices.append(_build_slice(val, item, rules, halves))
    return sorted(slices, key=_rank_slice)


def _build_slice(
    val: ValidationSet, item: FamilySlice, rules: dict[int, AppliedRule], halves: NDArray[np.intp]
) -> ProposedSlice:
    frozen_half = max((0, 1), key=lambda half: compute_overlap(rules[half].mask, item.mask))
    is_member = np.where(halves == 0, rules[0].mask, rules[1].mask)
    recoverable = sum_excess(val, is_member, item.strata)
    return ProposedSlice(item.family_p, rules, frozen_half, recoverable)


def sum_excess(val: ValidationSet, is_member: Mask, strata: NDArray[np.intp]) -> float:
    """Return the loss of a slice's images less the mean loss of the others of their stratum.

    Args:
        val: the validation set.
        is_member: bool [rows], the images of the slice.
        strata: intp [rows]; images with -1 do not count.
    """
    is_compared = strata >= 0
    own = np.where(is_compared, strata, 0)
    outside = is_compared & ~is_member
    counts = np.bincount(own, outside)
    means = np.bincount(own, val.error_losses * outside) / np.maximum(counts, 1)
    counted = is_compared & is_member & (counts[own] > 0)
    return float((val.error_losses - means[own])[counted].sum())


def _rank_slice(item: ProposedSlice) -> tuple[bool, float]:
    is_lead = item.family_p > CONSTANTS.family.level
    return is_lead, item.family_p if is_lead else -item.recoverable_errors
