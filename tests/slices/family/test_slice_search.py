from dataclasses import replace

import numpy as np
import pytest

from pipeline.slices.candidates.cross_fitting import assign_halves, compute_overlap
from pipeline.slices.family.slice_search import FinderSettings, find_slices, sum_excess
from tests.helpers.validation_sets import make_validation_set
from tests.slices.conftest import Draw


def test_each_half_gets_a_rule_with_its_intervention(draw: Draw) -> None:
    planted = draw(0)
    first = find_slices(planted.val, FinderSettings(), 0)[0]
    assert set(first.rule_for_half) == {0, 1}
    for applied in first.rule_for_half.values():
        assert compute_overlap(applied.mask, planted.dark) > 0.75
        assert applied.chosen_intervention == 0
        assert (np.isfinite(applied.typicality) == applied.mask).all()
    failures = planted.dark & planted.val.is_misclassified
    assert first.recoverable_errors == pytest.approx(failures.sum(), rel=0.25)


def test_slices_within_the_level_come_first_by_recoverable_errors(draw: Draw) -> None:
    planted = draw(0)
    val = planted.val
    is_blurred = val.frame["sharpness"].to_numpy() < -2
    wrong = np.where(is_blurred, (val.labels + 1) % 3, val.predictions)
    slices = find_slices(replace(val, predictions=wrong), FinderSettings(), 0)
    is_found = [item.family_p <= 0.05 for item in slices]
    assert is_found[:2] == [True, True]
    assert is_found == sorted(is_found, reverse=True)
    assert slices[0].recoverable_errors > slices[1].recoverable_errors


def test_one_fold_or_no_failure_makes_no_slices(draw: Draw) -> None:
    val = draw(0).val
    assert find_slices(replace(val, folds=val.folds * 0), FinderSettings(), 0) == []
    assert find_slices(replace(val, predictions=val.labels), FinderSettings(), 0) == []


def test_the_number_of_slices_and_of_images_is_bounded(draw: Draw) -> None:
    val = draw(0).val
    assert len(find_slices(val, FinderSettings(max_slices=2), 0)) == 2
    halves = assign_halves(val.folds)
    for item in find_slices(val, FinderSettings(min_images=150), 0):
        own = [item.rule_for_half[half].mask & (halves == half) for half in (0, 1)]
        assert (own[0] | own[1]).sum() > 75


def test_the_excess_is_the_loss_above_the_others_of_the_stratum(draw: Draw) -> None:
    frame = draw(0).val.frame.iloc[:6]
    val = make_validation_set(frame, [0] * 6, [1, 1, 0, 1, 0, 1])
    is_member = np.array([True, True, False, False, False, True])
    strata = np.array([0, 0, 0, 0, 0, -1])
    assert sum_excess(val, is_member, strata) == pytest.approx(2 - 2 / 3)


def test_the_stem_of_a_text_of_many_values_names_a_slice(draw: Draw) -> None:
    val = draw(0, planted=False).val
    group = val.frame["group"].str.removeprefix("g").astype(int).to_numpy()
    device = group % 10
    files = [f"device-{k:04d}/{row}" for row, k in enumerate(device.tolist())]
    is_failing = (device == 3) & (np.arange(len(device)) % 2 == 0)
    wrong = np.where(is_failing, (val.labels + 1) % 3, val.predictions)
    planted = replace(val, predictions=wrong, frame=val.frame.assign(file=files))
    first = find_slices(planted, FinderSettings(), 0)[0]
    (condition,) = first.rule_for_half[first.frozen_half].rule.conditions
    assert (condition.column, condition.op, condition.value) == ("file", "starts", "device-0003/")
    assert first.family_p <= 0.05
