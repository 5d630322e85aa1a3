"""Slices from one family of candidates, step by step, each conditional on those before.

A step tests the whole family on all images outside the slices before, and takes the candidate that
stands out most. Images outside are compared within their class and at a similar distance from the
earlier slices' thresholds. Their outcomes are permuted by whole groups.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.attribute_values import get_period
from pipeline.domain.rules import Condition, Mask, Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.family.candidate_family import NONE, CandidateFamily
from pipeline.slices.family.family_conditions import EXACT_OPERATORS
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.families.maximum_test import MaximumTest, run_maximum_test
from pipeline.statistics.group_intervals import encode_groups

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class FamilySlice:
    """A slice of the family.

    Attributes:
        candidate: its position in the family.
        rule: its rule.
        mask: bool [rows], the images that the rule admits.
        family_p: family-wise p-value, at least that of the slices before.
        deviations: float64 [candidates], deviation of each candidate's excess in the step that
            found the slice.
        strata: intp [rows], the images that were compared with each other in that step; -1 for
            images of earlier slices.
    """

    candidate: int
    rule: Rule
    mask: Mask
    family_p: float
    deviations: Floats
    strata: NDArray[np.intp]


@dataclass
class FamilySearch:
    """The state of the search.

    Attributes:
        val: the validation set.
        family: the candidates.
        seed: seed of the permutations.
        min_images: fewest images of a slice outside the slices before.
        level: family-wise level.
        slices: the slices so far.
    """

    val: ValidationSet
    family: CandidateFamily
    seed: int
    min_images: int
    level: float = CONSTANTS.family.level
    slices: list[FamilySlice] = field(default_factory=list)

    def find_slices(self, max_slices: int) -> list[FamilySlice]:
        """Return the slices, the most conspicuous first.

        After the first one above the level, nothing is tested further: the others are leads, with
        the p-value of that step at least.

        Args:
            max_slices: most slices.
        """
        test: MaximumTest | None = None
        strata = np.asarray(self.val.labels, dtype=np.intp)
        while len(self.slices) < max_slices:
            if not self.slices or self.slices[-1].family_p <= self.level or test is None:
                strata = self._assign_strata()
                test = self._run_test(strata)
            found = self._take_best(test, strata)
            if found is None:
                break
            self.slices.append(found)
        return self.slices

    def _assign_strata(self) -> NDArray[np.intp]:
        """Return intp [rows]: class and bands beside the slices before; -1 inside them."""
        strata = np.asarray(self.val.labels, dtype=np.intp)
        inside = np.zeros(len(strata), bool)
        for item in self.slices:
            distances = measure_rule_distance(self.val, self.family, item.rule)
            strata = strata * 10 + assign_bands(distances, ~item.mask)
            inside |= item.mask
        codes = np.unique(strata, return_inverse=True)[1].reshape(-1)
        return np.asarray(np.where(inside, NONE, codes))

    def _run_test(self, strata: NDArray[np.intp]) -> MaximumTest:
        constants = CONSTANTS.family
        rows = np.flatnonzero(strata != NONE)
        masks = self.family.masks if not self.slices else self.family.masks[:, rows]
        draws = int(constants.max_drawn_entries / max(masks.nnz, 1))
        return run_maximum_test(
            masks,
            self.val.error_losses[rows],
            np.unique(strata[rows], return_inverse=True)[1].reshape(-1),
            encode_groups(self.val.groups[rows])[0],
            min(max(draws, constants.min_draws), constants.max_draws),
            self.seed + len(self.slices),
        )

    def _take_best(self, test: MaximumTest, strata: NDArray[np.intp]) -> FamilySlice | None:
        """Return the most significant candidate, by its plainest equivalent; None if none."""
        sizes = self.family.sizes
        explained = np.zeros(len(strata), np.float32)
        for item in self.slices:
            explained[item.mask] = 1
        left = sizes - self.family.masks @ explained
        is_open = left >= np.maximum(
            np.minimum(self.min_images, sizes), (1 - CONSTANTS.family.max_explained_share) * sizes
        )
        is_large = test.sums >= CONSTANTS.family.min_excess * np.maximum(left, 1)
        is_eligible = is_open & is_large & (test.sums > 0)
        if not is_eligible.any():
            return None
        p_values = test.compute_p_values(test.scores)
        scores = np.where(is_eligible, test.scores, -np.inf)
        is_significant = is_eligible & (p_values <= self.level)
        if is_significant.any():
            # the skewness that the scores are corrected by is an estimate, whose error grows with
            # the effect: among significant candidates the plain deviations decide
            scores = np.where(is_significant, test.sums / test.deviations.clip(1e-9), -np.inf)
        best = choose_plainest(self.family, scores, test.sums, list(self.val.frame.columns))
        p = float(p_values[best])
        previous = self.slices[-1].family_p if self.slices else 0.0
        rule, mask = self.family.build_rule(best), self.family.get_mask(best)
        return FamilySlice(best, rule, mask, max(p, previous), test.deviations, strata)


def compute_overlaps(family: CandidateFamily, mask: Mask) -> Floats:
    """Return float64 [candidates]: images in both as a share of those in either (Jaccard 1901)."""
    shared = family.masks @ mask.astype(np.float32)
    return np.asarray(shared / (family.sizes + mask.sum() - shared), dtype=np.float64)


def choose_plainest(
    family: CandidateFamily, scores: Floats, sums: Floats, columns: list[str]
) -> int:
    """Return the plainest of the candidates that tie with the best one.

    A tie has nearly the same score. It admits mostly the same images, or these and more with
    clearly more excess: a part of a slice may score as high as all of it. Fewer conditions are
    plainer, then metadata, which sets images apart exactly and carries over, then the
    attributes that come first. A rule for all classes is plainer than one for a class.

    Args:
        family: the candidates.
        scores: float64 [candidates]; -inf for those that are not eligible.
        sums: float64 [candidates], excess summed over the images of each.
        columns: columns of the validation frame, the plainest first.
    """
    best = int(np.argmax(scores))
    constants = CONSTANTS.family
    shared = family.masks @ family.get_mask(best).astype(np.float32)
    is_same = shared >= constants.tied_overlap * (family.sizes + family.sizes[best] - shared)
    is_whole = (shared >= constants.contained_share * family.sizes[best]) & (
        sums >= constants.whole_sum_factor * sums[best]
    )
    is_tied = (scores >= constants.tied_score_share * scores[best]) & (is_same | is_whole)
    position = {name: index for index, name in enumerate(columns)}

    def rank_plainness(candidate: int) -> tuple[int, bool, bool, int, float]:
        rule = family.build_rule(candidate)
        is_exact = any(condition.op in EXACT_OPERATORS for condition in rule.conditions)
        is_exact &= bool(scores[candidate] >= constants.exact_score_share * scores[best])
        last = max(position.get(condition.column, len(columns)) for condition in rule.conditions)
        return (
            len(rule.conditions),
            rule.label is not None,
            not is_exact,
            last,
            -float(scores[candidate]),
        )

    return min(np.flatnonzero(is_tied).tolist(), key=rank_plainness)


def list_related(family: CandidateFamily, item: FamilySlice, min_overlap: float) -> Rows:
    """Return the candidates for the same classes that admit mostly the images of a slice.

    None has more conditions than the slice's rule: half of the images choose these by chance.

    Args:
        family: the candidates.
        item: the slice.
        min_overlap: least overlap of a candidate with the slice.
    """
    is_related = compute_overlaps(family, item.mask) >= min_overlap
    is_related &= family.parts[:, 2] == family.parts[item.candidate, 2]
    if family.parts[item.candidate, 1] == NONE:
        is_related &= family.parts[:, 1] == NONE
    return np.flatnonzero(is_related)


def choose_for_half(
    val: ValidationSet, family: CandidateFamily, item: FamilySlice, related: Rows, half: Mask
) -> Rule:
    """Return the rule for one slice that the outcomes of some images choose.

    The slice's own rule stays if it does nearly as well as the best one.

    Args:
        val: the validation set.
        family: the candidates.
        item: the slice.
        related: the candidates to choose among, see `list_related`.
        half: bool [rows], the images whose outcomes are used.
    """
    is_used = half & (item.strata != NONE)
    strata = np.where(is_used, item.strata, 0)
    losses = np.where(is_used, val.error_losses, 0.0)
    means = np.bincount(strata, losses) / np.maximum(np.bincount(strata, is_used), 1)
    excess = np.where(is_used, losses - means[strata], 0.0)
    scores = (family.masks[related] @ excess) / np.maximum(item.deviations[related], 1e-9)
    own_score = scores[related == item.candidate][0]
    if own_score >= CONSTANTS.family.half_score_share * scores.max():
        return item.rule
    return family.build_rule(int(related[np.argmax(scores)]))


def measure_rule_distance(val: ValidationSet, family: CandidateFamily, rule: Rule) -> Floats:
    """Return float64 [rows]: how far each image is from meeting a rule, 0 for those that meet it.

    It is the largest of the distances to the thresholds, each as the share of the images that are
    nearer; 1 for an unknown value, and for a text that differs.

    Args:
        val: the validation set.
        family: the candidates, with the distances to the images that conditions name.
        rule: the rule.
    """
    largest = np.zeros(val.image_count)
    for condition in rule.conditions:
        distances = _measure_condition_distance(val, family, condition)
        known = np.sort(distances[np.isfinite(distances) & (distances > 0)])
        ranks = np.searchsorted(known, distances, "right") / max(len(known), 1)
        largest = np.maximum(largest, np.where(np.isfinite(distances), ranks, 1.0))
    return largest


def _measure_condition_distance(
    val: ValidationSet, family: CandidateFamily, condition: Condition
) -> Floats:
    is_met = condition.compute_mask(val.frame, family.reference_distances)
    if condition.op in EXACT_OPERATORS:
        return np.where(is_met, 0.0, np.inf)
    if condition.op == "near":
        values = family.reference_distances[condition.column].astype(float)
        return np.where(is_met, 0.0, values - condition.value)
    values = val.frame[condition.column].to_numpy(dtype=float, na_value=np.nan)
    limits = list(condition.value) if condition.op == "between" else [condition.value]
    gaps = np.abs(values[:, None] - np.array(limits, dtype=float)[None, :])
    period = get_period(condition.column)
    if period:
        gaps = np.minimum(gaps, period - gaps)
    distances = gaps.min(1)
    return np.where(is_met, 0.0, np.where(np.isnan(values), np.inf, np.maximum(distances, 1e-12)))


def assign_bands(distances: Floats, is_outside: Mask) -> NDArray[np.intp]:
    """Return intp [rows]: the band of each image by its distance, 0 the nearest.

    Args:
        distances: float64 [rows].
        is_outside: bool [rows], the images whose quantiles divide the bands.
    """
    if not is_outside.any():
        return np.zeros(len(distances), np.intp)
    edges = np.unique(np.quantile(distances[is_outside], CONSTANTS.family.band_quantiles))
    return np.asarray(np.searchsorted(edges, distances, "left"))
