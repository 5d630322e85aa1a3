"""The comparison of treated good images (`GoodImages`) with one slice."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.rules import Mask
from pipeline.remedies import load_remedy
from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.slices.causes.good_images import GoodImages
from pipeline.slices.causes.slice_resemblance import SliceDifference, measure_slice_difference
from pipeline.slices.causes.strength_grid import list_midpoints
from pipeline.slices.causes.treatment_attribution import TreatmentShare, attribute_failures
from pipeline.slices.causes.treatment_similarity import (
    compute_cliffs_delta,
    measure_confusion_agreement,
)
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.group_sampling import sample_by_group
from pipeline.statistics.two_sample_test import compute_two_sample_auc

Floats = NDArray[np.float64]
CauseKey = tuple[str, str]
"""A possible cause: its remedy and its words, which name the side of neutral."""
StrengthsByCause = dict[CauseKey, list[float]]
UNTREATED_KEY: CauseKey = ("", "")


def _get_key(candidate: CauseCandidate) -> CauseKey:
    return candidate.remedy, candidate.cause_words


class TreatmentMatcher:
    """Compares treated good images with one slice.

    Attributes:
        good_images: the images that are treated.
        val: the validation set.
        slice_rows: rows of `val` that the cause is matched on.
        failing_rows: rows of the slice's misclassified images.
        slice_values: attributes of the images of `slice_rows`, float [n, attributes].
    """

    def __init__(
        self, good_images: GoodImages, slice_mask: Mask, typical_mask: Mask, max_images: int
    ) -> None:
        """Draw the images of the slice that treated images are compared with.

        Args:
            good_images: the images that are treated.
            slice_mask: whether each image is in the slice, bool [rows].
            typical_mask: whether it is a typical one, bool [rows]; the cause is matched on these.
                If too few groups of these fail, all failing images of the slice are used.
            max_images: largest number of typical and of failing images.
        """
        self.good_images = good_images
        self.val = val = good_images.val
        rng = np.random.default_rng(good_images.seed)
        self.slice_rows = sample_by_group(val.groups, np.flatnonzero(typical_mask), max_images, rng)
        failing = np.flatnonzero(typical_mask & val.is_misclassified)
        if len(np.unique(val.groups[failing])) < CONSTANTS.causes.min_failing_groups:
            failing = np.flatnonzero(slice_mask & val.is_misclassified)
        self.failing_rows = sample_by_group(val.groups, failing, max_images, rng)
        self._evaluated: dict[CauseCandidate, CauseCandidate] = {}
        pixels = np.asarray(good_images.tools.pixels[val.image_rows[self.slice_rows]])
        self.slice_values = good_images.tools.measure_attributes(pixels)

    def measure_distance(self, remedy: str, strength: float) -> float:
        """Return the attribute distance of the treated good images from the slice, 0 to 1."""
        treated = self.good_images.measure_treated(remedy, strength, strength)
        return compute_cliffs_delta(treated, self.slice_values)

    def measure_untreated_distance(self) -> float:
        """Return the attribute distance of the untreated good images from the slice, 0 to 1."""
        return compute_cliffs_delta(self._untreated_values, self.slice_values)

    @cached_property
    def _untreated_values(self) -> Floats:
        return self.good_images.tools.measure_attributes(self.good_images.images)

    @cached_property
    def slice_difference(self) -> SliceDifference:
        """Return how well untreated good images can be told from the slice."""
        good, groups = self.good_images, self.val.groups[self.slice_rows]
        return measure_slice_difference(
            self._untreated_values, good.groups, self.slice_values, groups, good.seed
        )

    def measure_auc(self, candidate: CauseCandidate) -> float:
        """Return the two-sample AUC of the treated good images against the slice."""
        good, strength = self.good_images, candidate.strength
        treated = good.measure_treated(candidate.remedy, strength, strength)
        groups = self.val.groups[self.slice_rows]
        return compute_two_sample_auc(treated, self.slice_values, good.groups, groups, good.seed)

    def is_nearer(self, candidate: CauseCandidate) -> bool:
        """Return whether an evaluated treatment brings good images nearer to the slice.

        Without an inverse, resemblance is the evidence: the slice must differ from untreated good
        images more than null slices do, and its copies less. With an inverse, the copies must not
        be further from the slice, both in distance and in AUC. An AUC that no decision depends on
        is not compared.
        """
        if not candidate.is_invertible:
            is_alike = candidate.auc <= CONSTANTS.causes.max_indistinguishable_auc
            return not is_alike or self.slice_difference.is_explained_by(candidate.auc)
        if candidate.attribute_distance < self.measure_untreated_distance():
            return True
        return not self.slice_difference.is_increased_by(candidate.auc)

    def build_candidate(self, remedy: str, strengths: list[float]) -> CauseCandidate:
        """Return the candidate at the best-matched strength of one side of neutral.

        Args:
            remedy: plug-in that applies the treatment.
            strengths: strengths of the side; midpoints beside the best one are tried too.
        """
        plugin = load_remedy(remedy)
        tried = list(strengths)
        distance, strength = self._find_best_strength(remedy, tried)
        for _ in range(CONSTANTS.causes.refinement_rounds if plugin.IS_ORDERED else 0):
            tried = sorted({*tried, *list_midpoints(tried, strength)})
            distance, strength = self._find_best_strength(remedy, tried)
        is_below = plugin.NEUTRAL_STRENGTH is not None and strength < plugin.NEUTRAL_STRENGTH
        cause_words = plugin.CAUSE_WORDS[0 if is_below else 1]
        is_invertible = plugin.invert_strength(strength) is not None
        return CauseCandidate(remedy, cause_words, float(strength), distance, is_invertible)

    def _find_best_strength(self, remedy: str, strengths: list[float]) -> tuple[float, float]:
        """Return the smallest distance and its strength."""
        return min((self.measure_distance(remedy, strength), strength) for strength in strengths)

    def evaluate_candidate(self, candidate: CauseCandidate) -> CauseCandidate:
        """Return the candidate with what the model does on its treated good images.

        One that reproduces no failure cannot be named, whatever else is measured. It keeps an
        unknown AUC, and its inverse is not tried.
        """
        if candidate not in self._evaluated:
            self._evaluated[candidate] = self._measure_candidate(candidate)
        return self._evaluated[candidate]

    def _measure_candidate(self, candidate: CauseCandidate) -> CauseCandidate:
        good, val, strength = self.good_images, self.val, candidate.strength
        labels = good.labels
        predictions = good.predict_treated(candidate.remedy, strength)
        is_broken = predictions != labels
        reproduction_rate = float(is_broken.mean())
        if reproduction_rate < CONSTANTS.causes.min_accuracy_loss:
            return replace(candidate, auc=np.nan, reproduction_rate=reproduction_rate)
        treated = good.apply_remedy(candidate.remedy, strength, strength)
        regained = good.estimate_regained(candidate.remedy, treated, is_broken, strength)
        is_regained = regained is None or regained.value >= CONSTANTS.causes.min_regained_share
        pairs = _list_confusions(labels[is_broken], predictions[is_broken])
        slice_pairs = _list_confusions(
            val.labels[self.failing_rows], val.predictions[self.failing_rows]
        )
        measured = replace(
            candidate,
            is_invertible=candidate.is_invertible and is_regained,
            regained=regained,
            auc=self.measure_auc(candidate),
            reproduction_rate=reproduction_rate,
            confusion_agreement=measure_confusion_agreement(
                pairs, good.groups[is_broken].tolist(), set(slice_pairs)
            ),
        )
        return replace(measured, is_nearer=self.is_nearer(measured))

    def find_equivalents(self, best: CauseCandidate, others: list[CauseCandidate]) -> set[str]:
        """Return the remedies of candidates that are the same cause as the best one.

        Two causes are the same if their copies of the good images are indistinguishable, or if each
        one's inverse repairs most of what the other breaks.
        """
        equivalents = set()
        for other in others:
            if self._is_indistinguishable(best, other) or self._is_mutual_inverse(best, other):
                equivalents.add(other.remedy)
        return equivalents

    def _is_indistinguishable(self, first: CauseCandidate, second: CauseCandidate) -> bool:
        good = self.good_images
        auc = compute_two_sample_auc(
            good.measure_treated(first.remedy, first.strength, first.strength),
            good.measure_treated(second.remedy, second.strength, second.strength),
            good.groups,
            good.groups,
            good.seed,
        )
        return auc <= CONSTANTS.causes.max_indistinguishable_auc

    def _is_mutual_inverse(self, first: CauseCandidate, second: CauseCandidate) -> bool:
        good = self.good_images
        if good.tools.predict_labels is None:
            return False
        for breaking, repairing in ((first, second), (second, first)):
            treated = good.apply_remedy(breaking.remedy, breaking.strength, breaking.strength)
            is_broken = good.predict_treated(breaking.remedy, breaking.strength) != good.labels
            regained = good.estimate_regained(
                repairing.remedy, treated, is_broken, repairing.strength
            )
            if regained is None or regained.value < CONSTANTS.causes.min_mutual_repair_share:
                return False
        return True

    def rank_by_attribution(
        self,
        candidates: list[CauseCandidate],
        strengths_by_cause: StrengthsByCause,
        evaluated: list[CauseCandidate],
    ) -> list[CauseCandidate]:
        """Return candidates with the share of the slice's failures that is attributed to each.

        The candidate with the largest share, or the pair that leads together, is added even if it
        was not evaluated. Each treatment is represented by its strengths nearest to the failing
        images, because a rule that admits many other images hides them.

        Args:
            candidates: the best-matched strength of each possible cause.
            strengths_by_cause: the strengths of each possible cause.
            evaluated: candidates that the model was evaluated on; returned unchanged if too few
                groups fail.
        """
        constants = CONSTANTS.causes
        good = self.good_images.sample_subset(constants.max_treated_images)
        failing_groups = self.val.groups[self.failing_rows]
        if len(np.unique(failing_groups)) < constants.min_failing_groups or len(good.rows) < 2:
            return evaluated
        images = np.asarray(good.tools.pixels[self.val.image_rows[self.failing_rows]])
        failing_values = good.tools.measure_attributes(images)
        features = {UNTREATED_KEY: good.tools.describe_images(good.images)}
        nearest: dict[CauseCandidate, list[float]] = {}
        for candidate in candidates:
            key, remedy = _get_key(candidate), candidate.remedy
            strengths = {*strengths_by_cause[key], candidate.strength}
            nearest[candidate] = self._select_nearest(remedy, strengths, failing_values)
            treated = [good.apply_remedy(remedy, level, level) for level in nearest[candidate]]
            features[key] = good.tools.describe_images(np.concatenate(treated))
        shares = attribute_failures(
            features, good.tools.describe_images(images), failing_groups, good.seed, UNTREATED_KEY
        )
        leading = _select_leading(candidates, shares)
        ranked = [self._choose_strength(leader, nearest[leader]) for leader in leading]
        known = set(map(_get_key, leading))
        ranked += [candidate for candidate in evaluated if _get_key(candidate) not in known]
        return [replace(candidate, **vars(shares[_get_key(candidate)])) for candidate in ranked]

    def _select_nearest(
        self, remedy: str, strengths: set[float], failing_values: Floats
    ) -> list[float]:
        """Return the strengths whose treated images are nearest to the failing ones."""

        def measure_failing_distance(strength: float) -> float:
            treated = self.good_images.measure_treated(remedy, strength, strength)
            return compute_cliffs_delta(treated, failing_values)

        ordered = sorted(strengths, key=measure_failing_distance)
        return ordered[: CONSTANTS.causes.nearest_strength_count]

    def _choose_strength(self, candidate: CauseCandidate, strengths: list[float]) -> CauseCandidate:
        """Return the candidate at its first strength that reproduces a failure, or at the first."""
        first = None
        for strength in strengths:
            distance = self.measure_distance(candidate.remedy, strength)
            variant = replace(candidate, strength=strength, attribute_distance=distance)
            evaluated = self.evaluate_candidate(variant)
            if evaluated.reproduction_rate >= CONSTANTS.causes.min_accuracy_loss:
                return evaluated
            first = first or evaluated
        return first or candidate

    def find_strength_range(
        self, best: CauseCandidate, strengths: list[float]
    ) -> tuple[float, float]:
        """Return the lowest and highest strength that still match the slice.

        A strength matches if its copies are nearer to the slice than halfway from the best copies
        to untreated images. The range ends one strength further on either side, because the true
        strength may fall between two that were tried.
        """
        ordered = sorted({*strengths, best.strength})
        position = ordered.index(best.strength)
        distances = np.array([self.measure_distance(best.remedy, value) for value in ordered])
        limit = (distances[position] + self.measure_untreated_distance()) / 2
        distant = np.flatnonzero(distances > limit)
        below, above = distant[distant < position], distant[distant > position]
        low = ordered[below.max(initial=0)]
        high = ordered[above.min(initial=len(ordered) - 1)]
        return low, high


def _list_confusions(
    labels: NDArray[np.intp], predictions: NDArray[np.intp]
) -> list[tuple[int, int]]:
    return list(zip(labels.tolist(), predictions.tolist(), strict=True))


def _select_leading(
    candidates: list[CauseCandidate], shares: dict[CauseKey, TreatmentShare]
) -> list[CauseCandidate]:
    """Return the candidate with the largest share, and the members of a leading pair."""
    first = max(candidates, key=lambda candidate: shares[_get_key(candidate)].attributed_share)
    leading = []
    for candidate in candidates:
        if candidate == first or shares[_get_key(candidate)].pair_share:
            leading.append(candidate)
    return leading
