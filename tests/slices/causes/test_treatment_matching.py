from dataclasses import replace

import numpy as np
import pytest

from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.slices.causes.treatment_matching import TreatmentMatcher
from pipeline.slices.finder_constants import CONSTANTS
from tests.slices.causes.conftest import PlantedImages, plant_covers

DARK = CauseCandidate("exposure", "too dark", 0.25, 0.1, True)
GAMMA = CauseCandidate("gamma", "too dark in the mid-tones", 4.0, 0.3, True)
DULL = CauseCandidate("contrast", "too low in contrast", 0.25, 0.3, True)
NOISE = CauseCandidate("noise", "noisy", 25.0, 0.3, False)


@pytest.fixture
def matcher(darkness: PlantedImages) -> TreatmentMatcher:
    mask = darkness.is_member
    return TreatmentMatcher(darkness.select_good(), mask, mask, 100)


def test_the_planted_strength_is_matched_best(matcher: TreatmentMatcher) -> None:
    candidate = matcher.build_candidate("exposure", [0.75, 0.5, 0.125])
    assert candidate.cause_words == "too dark"
    assert candidate.strength == 0.25, "the geometric midpoint of two tried strengths"
    assert candidate.attribute_distance < 0.2 < matcher.measure_untreated_distance()


def test_the_planted_treatment_reproduces_the_failures(matcher: TreatmentMatcher) -> None:
    dark, noise = matcher.evaluate_candidate(DARK), matcher.evaluate_candidate(NOISE)
    assert dark.reproduction_rate > 0.5
    assert dark.confusion_agreement > 0.5
    assert dark.is_invertible
    assert dark.auc < 1
    assert not noise.is_invertible
    assert noise.reproduction_rate < CONSTANTS.causes.min_accuracy_loss
    assert np.isnan(noise.auc), "it cannot be named, so nothing else is asked"


def test_an_inverse_that_does_not_undo_its_own_damage_does_not_count(
    matcher: TreatmentMatcher,
) -> None:
    black = matcher.evaluate_candidate(replace(DARK, strength=0.001))
    assert not black.is_invertible


def test_causes_whose_inverses_repair_each_other_are_equivalent(
    matcher: TreatmentMatcher, darkness: PlantedImages
) -> None:
    """The inverse of gamma restores the light; more contrast leaves the mean unchanged."""
    assert matcher.find_equivalents(DARK, [GAMMA, DULL, NOISE]) == {"gamma"}
    tools = replace(darkness.tools, predict_labels=None)
    without_model = replace(darkness.select_good(), tools=tools)
    mask = darkness.is_member
    unprobed = TreatmentMatcher(without_model, mask, mask, 100)
    assert unprobed.find_equivalents(DARK, [GAMMA, DULL, NOISE]) == set()


def test_the_strength_range_ends_beyond_the_matching_strengths(matcher: TreatmentMatcher) -> None:
    strengths = [0.9, 0.5, 0.3, 0.2, 0.12, 0.05, 0.01]
    low, high = matcher.find_strength_range(DARK, strengths)
    assert low < 0.25 < high
    assert low > 0.01, "the range does not reach black"
    assert high < 0.9


def test_failing_images_come_from_the_whole_slice_if_few_typical_ones_fail() -> None:
    planted = plant_covers(mislabeled_count=0)
    is_member = np.arange(len(planted.is_member)) >= 80
    failing = np.flatnonzero(is_member & planted.val.is_misclassified)
    is_typical = is_member & ~planted.val.is_misclassified
    is_typical[failing[:3]] = True
    few = TreatmentMatcher(planted.select_good(), is_member, is_typical, 200)
    assert set(few.failing_rows) == set(failing)
    is_typical[failing] = True
    is_typical[failing[-2:]] = False
    many = TreatmentMatcher(planted.select_good(), is_member, is_typical, 200)
    assert set(many.failing_rows) == set(failing[:-2])


def test_a_treatment_that_was_not_evaluated_is_added_if_it_leads_the_attribution() -> None:
    planted = plant_covers(mislabeled_count=0)
    mask = planted.is_member
    matcher = TreatmentMatcher(planted.select_good(), mask, mask, 100)
    cover = CauseCandidate("occlusion", "partly covered", 0.5, 0.3, False)
    strengths = {("exposure", "too dark"): [0.25], ("occlusion", "partly covered"): [0.3, 0.5]}
    ranked = matcher.rank_by_attribution([DARK, cover], strengths, [DARK])
    assert [candidate.remedy for candidate in ranked] == ["occlusion", "exposure"]
    assert ranked[0].is_majority_cause
    assert ranked[0].reproduction_rate > 0.5
    assert ranked[1].attributed_share is not None
    assert ranked[1].attributed_share < 0.1


def test_too_few_failing_groups_are_not_attributed(darkness: PlantedImages) -> None:
    few = np.zeros(len(darkness.is_member), bool)
    few[darkness.failing_rows[:4]] = True
    matcher = TreatmentMatcher(darkness.select_good(), few, few, 100)
    assert matcher.rank_by_attribution([DARK], {}, [DARK]) == [DARK]


def test_resembling_a_slice_that_does_not_differ_is_no_evidence(darkness: PlantedImages) -> None:
    """The hidden sub-class has the light of all other images, and the dark slice has not."""
    noise = replace(NOISE, auc=0.55)
    hidden = (np.arange(len(darkness.is_member)) % 3 == 0) & ~darkness.is_member
    alike = TreatmentMatcher(darkness.select_good(hidden), hidden, hidden, 100)
    assert not alike.slice_difference.is_significant
    assert not alike.is_nearer(noise)
    mask = darkness.is_member
    dark = TreatmentMatcher(darkness.select_good(), mask, mask, 100)
    assert dark.slice_difference.is_significant
    assert dark.is_nearer(noise)


def test_an_invertible_treatment_must_not_go_further_from_the_slice(
    darkness: PlantedImages, matcher: TreatmentMatcher
) -> None:
    assert matcher.evaluate_candidate(DARK).is_nearer
    hidden = (np.arange(len(darkness.is_member)) % 3 == 0) & ~darkness.is_member
    alike = TreatmentMatcher(darkness.select_good(hidden), hidden, hidden, 100)
    distance = alike.measure_distance(DARK.remedy, DARK.strength)
    evaluated = alike.evaluate_candidate(replace(DARK, attribute_distance=distance))
    assert evaluated.is_invertible
    assert not evaluated.is_nearer
