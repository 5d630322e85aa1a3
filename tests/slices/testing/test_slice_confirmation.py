import numpy as np

from pipeline.slices.testing.slice_confirmation import (
    SliceEvidence,
    choose_intervention,
    confirm_slices,
    estimate_intervention_effects,
    run_effect_test,
)
from pipeline.statistics.permutation_tests import estimate_excess_error
from tests.slices.conftest import Draw


def test_the_intervention_that_repairs_the_slice_is_chosen_and_confirmed(draw: Draw) -> None:
    planted = draw(0)
    val = planted.val
    assert choose_intervention(val.probe_results, planted.dark) == 0
    test = run_effect_test(
        val.probe_results, np.zeros(len(val.frame), np.intp), planted.dark, seed=0
    )
    assert test is not None
    assert test.p is not None
    assert test.p < 0.01
    effect, _ = estimate_intervention_effects(val.probe_results, planted.dark)
    assert np.isclose(effect[0], test.interval.value, atol=1e-9)


def test_a_random_half_of_the_groups_is_no_finding(draw: Draw) -> None:
    alarms = 0
    for seed in range(20):
        val = draw(seed, planted=False).val
        inside = np.random.default_rng(seed).random(120)[val.probe_results.groups] < 0.4
        pair = SliceEvidence(
            estimate_excess_error(
                val.is_misclassified, val.labels, inside, val.groups, draws=499, seed=seed
            ),
            run_effect_test(
                val.probe_results, np.zeros(len(val.frame), np.intp), inside, seed=seed
            ),
        )
        alarms += confirm_slices([(pair, [pair])], 0.05)[0].status == "confirmed"
    assert alarms <= 3


def test_too_few_groups_are_not_testable_rather_than_not_confirmed(draw: Draw) -> None:
    val = draw(0).val
    inside = val.probe_results.groups < 4
    pair = SliceEvidence(
        estimate_excess_error(val.is_misclassified, val.labels, inside, val.groups), None
    )
    tested = confirm_slices([(pair, [pair])], 0.05)[0]
    assert tested.status == "not testable"
    assert tested.q_value is None
    assert tested.excess_test.required_groups >= 10


def test_more_slices_tested_make_each_harder_to_confirm(draw: Draw) -> None:
    planted = draw(0)
    val = planted.val
    good = SliceEvidence(
        estimate_excess_error(val.is_misclassified, val.labels, planted.dark, val.groups), None
    )
    idle = SliceEvidence(
        estimate_excess_error(val.is_misclassified, val.labels, ~planted.dark, val.groups), None
    )
    alone = confirm_slices([(good, [good])], 0.05)[0]
    crowded = confirm_slices([(good, [good])] + [(idle, [idle])] * 7, 0.05)[0]
    assert alone.q_value is not None
    assert crowded.q_value is not None
    assert alone.q_value < crowded.q_value


def test_one_half_that_is_confirmed_confirms_the_slice_and_gives_its_p(draw: Draw) -> None:
    planted = draw(0)
    val = planted.val
    good = SliceEvidence(
        estimate_excess_error(val.is_misclassified, val.labels, planted.dark, val.groups), None
    )
    idle = SliceEvidence(
        estimate_excess_error(val.is_misclassified, val.labels, ~planted.dark, val.groups), None
    )
    tested = confirm_slices([(idle, [idle, good])], 0.05)[0]
    assert (tested.best_index, confirm_slices([(idle, [good, idle])], 0.05)[0].best_index) == (1, 0)
    assert tested.status == "confirmed"
    assert tested.excess_test.p == good.excess_test.p
    assert tested.excess_test.interval == idle.excess_test.interval


def test_what_helps_images_that_fail_no_more_than_others_confirms_nothing(draw: Draw) -> None:
    planted = draw(0)
    val = planted.val
    idle = estimate_excess_error(val.is_misclassified, val.labels, ~planted.dark, val.groups)
    helped = run_effect_test(
        val.probe_results, np.zeros(len(val.frame), np.intp), planted.dark, seed=0
    )
    assert idle.interval.value < 0
    assert (
        confirm_slices([(SliceEvidence(idle, helped), [SliceEvidence(idle, helped)])], 0.05)[
            0
        ].status
        == "not confirmed"
    )
