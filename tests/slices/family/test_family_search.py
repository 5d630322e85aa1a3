from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import compute_overlap
from pipeline.slices.family.candidate_family import build_candidate_family
from pipeline.slices.family.family_search import (
    FamilySearch,
    FamilySlice,
    assign_bands,
    choose_for_half,
    list_related,
    measure_rule_distance,
)
from tests.slices.conftest import Draw


def _search(val: ValidationSet, max_slices: int = 6) -> list[FamilySlice]:
    family = build_candidate_family(val, 20, 0)
    return FamilySearch(val, family, 0, 20).find_slices(max_slices)


def test_the_planted_slice_comes_first_and_alone(draw: Draw) -> None:
    """Dark images are also those of the night: one cause is one slice."""
    planted = draw(0)
    found = _search(planted.val)
    assert compute_overlap(found[0].mask, planted.dark) > 0.9
    assert found[0].family_p <= 0.01
    assert [item.family_p <= 0.05 for item in found].count(True) == 1
    assert [item.family_p for item in found] == sorted(item.family_p for item in found)


def test_two_causes_in_different_images_are_two_slices(draw: Draw) -> None:
    planted = draw(0)
    val = planted.val
    is_blurred = val.frame["sharpness"].to_numpy() < -1.2
    failing = is_blurred & (np.random.default_rng(1).random(val.image_count) < 0.5)
    wrong = np.where(failing, (val.labels + 1) % 3, val.predictions)
    found = [item for item in _search(replace(val, predictions=wrong)) if item.family_p <= 0.05]
    assert len(found) == 2
    for truth in (planted.dark, is_blurred):
        assert max(compute_overlap(item.mask, truth) for item in found) > 0.6


def test_a_weakening_effect_is_one_slice(draw: Draw) -> None:
    """What fails a little beside the threshold is the rim of the same cause."""
    val = draw(0, planted=False).val
    rng = np.random.default_rng(2)
    light = rng.uniform(0, 100, val.image_count)
    hour = (light / 100 * 12 + rng.normal(0, 1, val.image_count)) % 24
    failing = rng.random(val.image_count) < np.clip(0.9 - light / 30, 0, 1)
    changed = replace(
        val,
        frame=val.frame.assign(luminance=light, hour=hour),
        predictions=np.where(failing, (val.labels + 1) % 3, val.predictions),
    )
    found = [item for item in _search(changed) if item.family_p <= 0.05]
    assert len(found) == 1


def test_without_a_cause_little_is_found(draw: Draw) -> None:
    alarms = [_search(draw(seed, planted=False).val, 1)[0].family_p <= 0.05 for seed in range(20)]
    assert sum(alarms) <= 4


def test_a_slice_of_six_groups_is_found_if_its_effect_is_large(draw: Draw) -> None:
    val = draw(0, planted=False).val
    codes = np.unique(val.groups, return_inverse=True)[1]
    camera = np.where(codes < 6, "new", val.frame["camera"])
    wrong = np.where(codes < 6, (val.labels + 1) % 3, val.predictions)
    changed = replace(val, frame=val.frame.assign(camera=camera), predictions=wrong)
    first = _search(changed, 1)[0]
    assert first.rule == Rule((Condition("camera", "is", "new"),))
    assert first.family_p <= 0.05


def test_a_half_chooses_among_candidates_with_mostly_the_same_images(draw: Draw) -> None:
    planted = draw(0)
    val = planted.val
    family = build_candidate_family(val, 20, 0)
    first = FamilySearch(val, family, 0, 20).find_slices(1)[0]
    half = val.folds % 2 == 0
    wrong = (val.labels + 1) % 3
    other = replace(val, predictions=np.where(half, val.predictions, wrong))
    related = list_related(family, first, 0.5)
    rules = [choose_for_half(item, family, first, related, half) for item in (val, other)]
    assert rules[0] == rules[1], "outcomes of other images are not used"
    assert compute_overlap(rules[0].compute_mask(val.frame), planted.dark) > 0.5


@pytest.mark.parametrize("op", ["<=", ">="])
def test_the_distance_grows_beside_a_threshold(draw: Draw, op: str) -> None:
    val = draw(0).val
    family = build_candidate_family(val, 20, 0)
    values = val.frame["luminance"].to_numpy()
    rule = Rule((Condition("luminance", op, 80.0),))
    distances = measure_rule_distance(val, family, rule)
    is_met = rule.compute_mask(val.frame)
    assert (distances[is_met] == 0).all()
    order = np.argsort(np.abs(values[~is_met] - 80))
    assert (np.diff(distances[~is_met][order]) >= 0).all()


def test_unknown_and_other_values_are_farthest(draw: Draw) -> None:
    val = draw(0).val
    frame = val.frame.copy()
    frame.loc[0, "luminance"] = np.nan
    val = replace(val, frame=frame)
    family = build_candidate_family(val, 20, 0)
    near = measure_rule_distance(val, family, Rule((Condition("luminance", "<=", 60.0),)))
    assert near[0] == 1
    camera = measure_rule_distance(val, family, Rule((Condition("camera", "is", "north"),)))
    assert set(camera.tolist()) == {0.0, 1.0}


def test_a_clock_has_two_ways_round(draw: Draw) -> None:
    val = draw(0).val
    frame = val.frame.assign(hour=np.linspace(0, 23.9, val.image_count))
    val = replace(val, frame=frame)
    family = build_candidate_family(val, 20, 0)
    rule = Rule((Condition("hour", "between", (22.0, 1.0)),))
    distances = measure_rule_distance(val, family, rule)
    assert distances[np.argmin(np.abs(frame["hour"] - 11.5))] > 0.95


def test_bands_divide_the_images_outside_by_distance() -> None:
    distances = np.r_[np.zeros(20), np.linspace(0.01, 1, 100)]
    bands = assign_bands(distances, distances > 0)
    assert np.bincount(bands[20:]).tolist() == [5, 10, 20, 65]
    assert assign_bands(np.zeros(3), np.zeros(3, bool)).tolist() == [0, 0, 0]
