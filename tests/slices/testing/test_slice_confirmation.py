from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.rules import Mask
from pipeline.domain.statuses import SliceStatus
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.testing.slice_confirmation import (
    SliceEvidence,
    choose_intervention,
    confirm_slice,
    estimate_intervention_effects,
    run_effect_test,
)
from pipeline.statistics.permutation_tests import PermutationTest, estimate_excess_error
from tests.slices.conftest import Draw


def _test_excess(val: ValidationSet, mask: Mask, **options: int) -> PermutationTest:
    return estimate_excess_error(val.is_misclassified, val.labels, mask, val.groups, **options)


def _test_effect(val: ValidationSet, mask: Mask, seed: int = 0) -> PermutationTest | None:
    """Test the first intervention, which repairs the planted slice."""
    return run_effect_test(val.probe_results, np.zeros(len(val.frame), np.intp), mask, seed)


def test_the_intervention_that_repairs_the_slice_is_chosen_and_confirmed(draw: Draw) -> None:
    planted = draw(0)
    probe = planted.val.probe_results
    assert choose_intervention(probe, planted.dark) == 0
    test = _test_effect(planted.val, planted.dark)
    assert test is not None
    assert test.p is not None
    assert test.p < 0.01
    effects, standard_errors = estimate_intervention_effects(probe, planted.dark)
    assert effects[0] == pytest.approx(test.interval.value, abs=1e-9)
    # the means outside the slice count as known here
    assert standard_errors[0] == pytest.approx(np.sqrt(test.interval.variance), rel=0.2)


def test_no_intervention_is_chosen_where_none_helps(draw: Draw) -> None:
    planted = draw(0)
    probe = planted.val.probe_results
    assert choose_intervention(probe, planted.dark & probe.correct) is None
    assert choose_intervention(probe, np.arange(len(probe.correct)) < 1) is None


def test_an_intervention_that_breaks_as_much_as_it_repairs_is_not_chosen(draw: Draw) -> None:
    """It predicts one class for every image, which repairs that class's failures elsewhere too."""
    planted = draw(0)
    probe = planted.val.probe_results
    one_class = np.column_stack([planted.val.labels == 0, planted.val.labels == 1])
    cell_weights = np.repeat(probe.weights[:, None], 2, axis=1)
    single = replace(probe, after=one_class, cell_weights=cell_weights)
    of_class = planted.dark & (planted.val.labels == 2)
    assert choose_intervention(single, of_class) is None


def test_images_without_an_intervention_are_left_out_of_the_effect(draw: Draw) -> None:
    planted = draw(0)
    probe = planted.val.probe_results
    chosen = np.where(planted.val.folds % 2 == 0, 0, -1)
    half = run_effect_test(probe, chosen, planted.dark, 0)
    assert half is not None
    assert half.interval.n == (planted.dark & (chosen >= 0)).sum()
    assert run_effect_test(probe, np.full(len(chosen), -1), planted.dark, 0) is None


def test_the_family_wise_p_value_confirms_a_slice(draw: Draw) -> None:
    planted = draw(0)
    evidence = SliceEvidence(_test_excess(planted.val, planted.dark), None)
    test = confirm_slice(evidence, 0.04, 0.05)
    assert (test.status, test.q_value) == (SliceStatus.CONFIRMED, 0.04)
    assert test.excess_test.p == 0.04
    assert test.excess_test.interval == evidence.excess_test.interval
    assert test.effect_test is None
    assert confirm_slice(evidence, 0.06, 0.05).status == SliceStatus.NOT_CONFIRMED


def test_an_excess_too_small_to_matter_confirms_nothing(draw: Draw) -> None:
    planted = draw(0)
    evidence = SliceEvidence(
        _test_excess(planted.val, ~planted.dark), _test_effect(planted.val, planted.dark)
    )
    assert evidence.excess_test.interval.value < 0
    test = confirm_slice(evidence, 0.001, 0.05)
    assert test.status == SliceStatus.NOT_CONFIRMED
    assert test.effect_test == evidence.effect_test


def test_few_groups_are_tested_by_the_family(draw: Draw) -> None:
    """The family needs fewer groups than a test of one subset: it asks for a larger effect."""
    val = draw(0).val
    few = np.isin(val.groups, np.unique(val.groups)[:7])
    failing = replace(val, predictions=np.where(few, (val.labels + 1) % 3, val.predictions))
    excess = _test_excess(failing, few)
    assert excess.reason is not None
    test = confirm_slice(SliceEvidence(excess, None), 0.01, 0.05)
    assert (test.status, test.excess_test.reason) == (SliceStatus.CONFIRMED, None)


def test_images_that_were_not_asked_have_no_part_in_the_choice_and_the_effect(draw: Draw) -> None:
    planted = draw(0)
    probe = planted.val.probe_results
    is_asked = np.random.default_rng(1).random(len(probe.correct)) < 0.6
    cell_weights = probe.cell_weights * is_asked[:, None]
    spoilt = np.where(is_asked[:, None], probe.after, ~probe.after)
    partial = replace(probe, after=spoilt, cell_weights=cell_weights)
    asked = probe.select_rows(is_asked)
    in_slice = planted.dark
    assert choose_intervention(partial, in_slice) == choose_intervention(asked, in_slice[is_asked])
    effect = run_effect_test(partial, np.zeros(len(is_asked), np.intp), in_slice, 0)
    expected = run_effect_test(asked, np.zeros(int(is_asked.sum()), np.intp), in_slice[is_asked], 0)
    assert effect is not None
    assert effect == expected
