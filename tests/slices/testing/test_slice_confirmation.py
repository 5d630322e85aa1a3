from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.rules import Mask
from pipeline.domain.statuses import SliceStatus
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.testing.slice_confirmation import (
    SliceEvidence,
    SliceTest,
    choose_intervention,
    compute_matched_residuals,
    confirm_slices,
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


def _confirm(overall: SliceEvidence, *rules: SliceEvidence) -> SliceTest:
    return confirm_slices([(overall, list(rules or [overall]))], 0.05)[0]


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
    single = type(probe)(probe.correct, one_class, probe.margin, probe.groups, probe.weights)
    of_class = planted.dark & (planted.val.labels == 2)
    assert choose_intervention(single, of_class) is None


def test_matched_residuals_of_a_stratum_sum_to_zero(draw: Draw) -> None:
    probe = draw(0).val.probe_results
    residuals = compute_matched_residuals(probe)
    assert residuals.shape == probe.after.shape
    assert residuals[~probe.correct].sum(0) == pytest.approx([0, 0], abs=1e-9)
    assert residuals[probe.correct].sum(0) == pytest.approx([0, 0], abs=1e-9)


def test_images_without_an_intervention_are_left_out_of_the_effect(draw: Draw) -> None:
    planted = draw(0)
    probe = planted.val.probe_results
    chosen = np.where(planted.val.folds % 2 == 0, 0, -1)
    half = run_effect_test(probe, chosen, planted.dark, 0)
    assert half is not None
    assert half.interval.n == (planted.dark & (chosen >= 0)).sum()
    assert run_effect_test(probe, np.full(len(chosen), -1), planted.dark, 0) is None


def test_a_random_part_of_the_groups_is_rarely_confirmed(draw: Draw) -> None:
    false_alarms = 0
    for seed in range(20):
        val = draw(seed, planted=False).val
        inside = np.random.default_rng(seed).random(120)[val.probe_results.groups] < 0.4
        excess = _test_excess(val, inside, draws=499, seed=seed)
        test = _confirm(SliceEvidence(excess, _test_effect(val, inside, seed)))
        false_alarms += test.status == SliceStatus.CONFIRMED
    assert false_alarms <= 3


def test_too_few_groups_are_not_testable_rather_than_not_confirmed(draw: Draw) -> None:
    val = draw(0).val
    test = _confirm(SliceEvidence(_test_excess(val, val.probe_results.groups < 4), None))
    assert test.status == SliceStatus.NOT_TESTABLE
    assert test.q_value is None
    assert test.excess_test.required_groups is not None
    assert test.excess_test.required_groups >= 10


def test_more_slices_make_each_harder_to_confirm(draw: Draw) -> None:
    planted = draw(0)
    good = SliceEvidence(_test_excess(planted.val, planted.dark), None)
    idle = SliceEvidence(_test_excess(planted.val, ~planted.dark), None)
    alone = confirm_slices([(good, [good])], 0.05)[0]
    crowded = confirm_slices([(good, [good])] + [(idle, [idle])] * 7, 0.05)
    assert alone.q_value is not None
    assert crowded[0].q_value == pytest.approx(8 * alone.q_value)
    assert {test.status for test in crowded[1:]} == {SliceStatus.NOT_CONFIRMED}


def test_one_confirmed_rule_confirms_the_slice_and_gives_its_p_value(draw: Draw) -> None:
    planted = draw(0)
    good = SliceEvidence(_test_excess(planted.val, planted.dark), None)
    idle = SliceEvidence(_test_excess(planted.val, ~planted.dark), None)
    test = _confirm(idle, idle, good)
    assert test.best_index == 1
    assert _confirm(idle, good, idle).best_index == 0
    assert test.status == SliceStatus.CONFIRMED
    assert test.excess_test.p == good.excess_test.p
    assert test.excess_test.interval == idle.excess_test.interval
    assert test.effect_test is None


def test_an_effect_without_excess_error_confirms_nothing(draw: Draw) -> None:
    planted = draw(0)
    no_excess = _test_excess(planted.val, ~planted.dark)
    assert no_excess.interval.value < 0
    evidence = SliceEvidence(no_excess, _test_effect(planted.val, planted.dark))
    test = _confirm(evidence)
    assert test.status == SliceStatus.NOT_CONFIRMED
    assert test.q_value == 1.0, "though the effect itself is significant"
    assert test.effect_test is not None
    assert test.effect_test.p is not None
    assert test.effect_test.p < 0.05


def test_a_strong_slice_lets_no_false_one_pass(draw: Draw) -> None:
    """Four tests of a strong slice must not lower the bar for a doubtful one."""
    planted = draw(0)
    strong = _test_excess(planted.val, planted.dark)
    assert strong.is_large
    good = SliceEvidence(strong, replace(strong, p=0.0005))
    doubtful = SliceEvidence(replace(strong, p=0.03), replace(strong, p=0.9))
    results = confirm_slices([(good, [good, good]), (doubtful, [doubtful, doubtful])], 0.05)
    assert [test.status for test in results] == [SliceStatus.CONFIRMED, SliceStatus.NOT_CONFIRMED]


def test_without_slices_there_is_nothing_to_confirm() -> None:
    assert confirm_slices([], 0.05) == []
