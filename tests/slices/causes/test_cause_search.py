"""Searches for planted causes: darkness with an inverse, and covers that nothing undoes."""

from dataclasses import replace

import numpy as np

from pipeline.slices.causes.cause_search import find_causes, suspect_cause
from pipeline.slices.finder_constants import CONSTANTS
from tests.slices.causes.conftest import IMAGE_COUNT, INTERVENTIONS, PlantedImages, plant_covers


def test_the_planted_cause_and_strength_are_named(darkness: PlantedImages) -> None:
    mask = darkness.is_member
    candidates, strength_range = find_causes(
        darkness.select_good(), mask, mask, INTERVENTIONS, 100, 0.05
    )
    best = candidates[0]
    assert (best.remedy, best.cause_words, best.is_named) == ("exposure", "too dark", True)
    assert best.is_inverse_confirmed
    assert best.strength == 0.25
    assert best.attribute_distance < 0.2
    assert best.reproduction_rate > 0.5
    assert best.repair_p_value is not None
    assert best.repair_p_value < 0.01
    named = {candidate.remedy for candidate in candidates if candidate.is_named}
    assert not named & {"rotation", "horizontal_flip", "blur", "contrast"}
    assert strength_range is not None
    low, high = strength_range
    assert 0.1 < low < 0.25 < high < 0.5


def test_a_cause_of_half_a_slice_is_named_by_attribution() -> None:
    """Half of the slice is covered, as many other images fail only for a wrong label.

    Nothing undoes a cover, and no treatment resembles both halves.
    """
    planted = plant_covers(mislabeled_count=10)
    mask = planted.is_member
    candidates, strength_range = find_causes(
        planted.select_good(), mask, mask, INTERVENTIONS, 100, 0.05
    )
    assert [c.remedy for c in candidates if c.is_named] == ["occlusion"]
    best = candidates[0]
    assert best.auc > CONSTANTS.causes.max_indistinguishable_auc, "the slice as a whole differs"
    assert best.attributed_share is not None
    assert best.attributed_share > 0.5
    assert strength_range is not None


def test_wrong_labels_alone_have_no_cause() -> None:
    planted = plant_covers(mislabeled_count=10)
    mislabeled = np.arange(IMAGE_COUNT) >= 200
    candidates, strength_range = find_causes(
        planted.select_good(mislabeled), mislabeled, mislabeled, INTERVENTIONS, 100, 0.05
    )
    assert candidates
    assert not any(candidate.is_named for candidate in candidates)
    assert strength_range is None


def test_all_failing_images_are_used_if_few_typical_ones_fail() -> None:
    planted = plant_covers(mislabeled_count=0)
    is_member = np.arange(IMAGE_COUNT) >= 80
    is_typical = is_member & ~planted.val.is_misclassified
    is_typical[np.flatnonzero(is_member & planted.val.is_misclassified)[:3]] = True
    candidates, strength_range = find_causes(
        planted.select_good(), is_member, is_typical, INTERVENTIONS, 200, 0.05
    )
    assert [c.remedy for c in candidates if c.is_named] == ["occlusion"]
    assert strength_range is not None


def test_without_good_images_nothing_is_searched(darkness: PlantedImages) -> None:
    mask = darkness.is_member
    no_images = replace(darkness.select_good(), rows=np.zeros(0, np.intp))
    assert find_causes(no_images, mask, mask, INTERVENTIONS, 100, 0.05) == ([], None)
    assert suspect_cause(no_images, mask, 100) == ([], None)


def test_without_a_model_the_nearest_treatment_is_suspected(darkness: PlantedImages) -> None:
    unprobed = replace(darkness, tools=replace(darkness.tools, predict_labels=None))
    candidates, strength_range = suspect_cause(unprobed.select_good(), darkness.is_member, 100)
    (suspected,) = candidates
    assert (suspected.remedy, suspected.cause_words) == ("exposure", "too dark")
    assert suspected.is_named
    assert suspected.is_suspected
    assert strength_range is not None
    assert strength_range[0] <= 0.25 <= strength_range[1]


def test_a_slice_like_all_other_images_has_no_suspected_cause(darkness: PlantedImages) -> None:
    unprobed = replace(darkness, tools=replace(darkness.tools, predict_labels=None))
    ordinary = (np.arange(IMAGE_COUNT) % 8 == 0) & ~darkness.is_member
    assert suspect_cause(unprobed.select_good(ordinary), ordinary, 100) == ([], None)
