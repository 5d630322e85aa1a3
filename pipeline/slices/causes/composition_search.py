"""The search for a cause of two steps, such as dark and blurred.

Each of the nearest causes is followed by other near ones. The nearest pair is named if it is
clearly harder to separate from the slice than each single cause, and if both steps add to what it
breaks or to what its inverse repairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.remedies import load_remedy
from pipeline.slices.causes.cause_naming import CauseCandidate, TransformStep
from pipeline.slices.causes.treatment_matching import StrengthsByCause, TreatmentMatcher
from pipeline.slices.causes.treatment_similarity import compute_cliffs_delta
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.two_sample_test import compute_two_sample_auc

Pixels = NDArray[np.uint8]
Steps = tuple[TransformStep, ...]


@dataclass(frozen=True)
class _Pair:
    """Two causes with the strengths at which they are nearest to the slice together."""

    first: CauseCandidate
    second: CauseCandidate
    distance: float

    @property
    def steps(self) -> Steps:
        return _get_step(self.first), _get_step(self.second)


def _get_step(candidate: CauseCandidate) -> TransformStep:
    return TransformStep(candidate.remedy, candidate.strength)


def find_composition(
    matcher: TreatmentMatcher,
    candidates: Sequence[CauseCandidate],
    strengths_by_cause: StrengthsByCause,
    evaluated: Sequence[CauseCandidate],
) -> CauseCandidate | None:
    """Return the two-step cause of a slice as its first step with a companion.

    Args:
        matcher: the slice and the good images.
        candidates: the best-matched strength of each possible single cause.
        strengths_by_cause: the strengths of each possible cause.
        evaluated: single causes that the model was evaluated on.

    Returns:
        None if no pair explains the slice clearly better than every single cause.
    """
    if matcher.good_images.tools.predict_labels is None or not evaluated:
        return None
    ordered = [item for item in candidates if load_remedy(item.remedy).IS_ORDERED]
    ordered.sort(key=lambda candidate: candidate.attribute_distance)
    pairs = list(_match_pairs(matcher, ordered, strengths_by_cause))
    if not pairs:
        return None
    nearest = min(pairs, key=lambda pair: pair.distance)
    pair = _refine_pair(matcher, nearest, strengths_by_cause)
    return _evaluate_pair(matcher, pair, evaluated)


def _match_pairs(
    matcher: TreatmentMatcher, ordered: Sequence[CauseCandidate], strengths: StrengthsByCause
) -> Iterator[_Pair]:
    """Yield each cause of the beam with other near ones at the best of a few strengths."""
    for first in ordered[: CONSTANTS.causes.beam_width]:
        for second in ordered[: CONSTANTS.causes.beam_partners]:
            if second.remedy == first.remedy:
                continue
            known = strengths[second.remedy, second.cause_words]
            stride = max(1, len(known) // CONSTANTS.causes.beam_strengths)
            tried = {*known[::stride], second.strength}
            yield _choose_second(matcher, first, second, tried)


def _choose_second(
    matcher: TreatmentMatcher,
    first: CauseCandidate,
    second: CauseCandidate,
    strengths: Iterable[float],
) -> _Pair:
    """Return the pair with the strength of the second step that is nearest to the slice."""
    pairs = []
    for strength in strengths:
        variant = replace(second, strength=strength)
        distance = _measure_distance(matcher, (_get_step(first), _get_step(variant)))
        pairs.append(_Pair(first, variant, distance))
    return min(pairs, key=lambda pair: pair.distance)


def _measure_distance(matcher: TreatmentMatcher, steps: Steps) -> float:
    few = matcher.good_images.sample_subset(CONSTANTS.causes.beam_images)
    treated = few.apply_steps(steps, few.images)
    return compute_cliffs_delta(few.tools.measure_attributes(treated), matcher.slice_values)


def _refine_pair(matcher: TreatmentMatcher, pair: _Pair, strengths: StrengthsByCause) -> _Pair:
    """Return the pair after each step in turn took its best strength, given the other one."""
    for _ in range(CONSTANTS.causes.refinement_rounds):
        tried = [
            replace(pair.first, strength=strength)
            for strength in strengths[pair.first.remedy, pair.first.cause_words]
        ]
        options = [pair]
        for first in tried:
            steps = (_get_step(first), _get_step(pair.second))
            options.append(_Pair(first, pair.second, _measure_distance(matcher, steps)))
        pair = min(options, key=lambda option: option.distance)
        known = strengths[pair.second.remedy, pair.second.cause_words]
        pair = _choose_second(matcher, pair.first, pair.second, {*known, pair.second.strength})
    return pair


def _evaluate_pair(
    matcher: TreatmentMatcher, pair: _Pair, evaluated: Sequence[CauseCandidate]
) -> CauseCandidate | None:
    """Return the pair as a candidate if it explains the slice better than each single cause."""
    good = matcher.good_images
    values = good.tools.measure_attributes(good.apply_steps(pair.steps, good.images))
    auc = compute_two_sample_auc(
        values, matcher.slice_values, good.groups, matcher.val.groups[matcher.slice_rows], good.seed
    )
    best_single = min(candidate.auc for candidate in evaluated)
    singles = [matcher.evaluate_candidate(item) for item in (pair.first, pair.second)]
    is_separable = auc > best_single - CONSTANTS.causes.auc_tolerance
    if is_separable or not _do_steps_add(matcher, pair, singles):
        return None
    first, second = pair.steps
    composed = replace(
        singles[0],
        attribute_distance=pair.distance,
        auc=auc,
        reproduction_rate=_measure_breaking(matcher, pair.steps),
        companion=second,
        alignment=matcher.measure_alignment_of((first, second)),
    )
    return None if composed.is_refuted or not composed.is_reproducing else composed


def _do_steps_add(
    matcher: TreatmentMatcher, pair: _Pair, singles: Sequence[CauseCandidate]
) -> bool:
    """Return whether both steps are needed, to repair the slice or, without inverses, to break."""
    inverses = _invert_steps(pair.steps)
    if len(inverses) == len(pair.steps):
        together = _measure_repaired(matcher, inverses)
        alone = max(_measure_repaired(matcher, (inverse,)) for inverse in inverses)
        return together > alone
    needed = max(single.reproduction_rate for single in singles)
    return _measure_breaking(matcher, pair.steps) >= needed + CONSTANTS.causes.min_accuracy_loss


def _invert_steps(steps: Steps) -> Steps:
    """Return the steps that undo others, in reverse order, without those that have no inverse."""
    inverses = []
    for step in reversed(steps):
        strength = load_remedy(step.remedy).invert_strength(step.strength)
        if strength is not None:
            inverses.append(TransformStep(step.remedy, strength))
    return tuple(inverses)


def _measure_breaking(matcher: TreatmentMatcher, steps: Steps) -> float:
    good = matcher.good_images
    return _measure_error(matcher, good.apply_steps(steps, good.images), good.labels)


def _measure_repaired(matcher: TreatmentMatcher, steps: Steps) -> float:
    good, val = matcher.good_images, matcher.val
    images = np.asarray(good.tools.pixels[val.image_rows[matcher.failing_rows]])
    treated = good.apply_steps(steps, images)
    return 1 - _measure_error(matcher, treated, val.labels[matcher.failing_rows])


def _measure_error(matcher: TreatmentMatcher, images: Pixels, labels: NDArray[np.intp]) -> float:
    predict = matcher.good_images.tools.predict_labels
    return float((predict(images) != labels).mean()) if predict and len(images) else 0.0
