import numpy as np

from pipeline.evidence.permutation import excess_error
from pipeline.slicing.confirm import Pair, choose_intervention, effect_of, judge, matched_effects
from tests.slicing.conftest import Draw


def test_the_intervention_that_repairs_the_slice_is_chosen_and_confirmed(draw: Draw) -> None:
    planted = draw(0)
    val = planted.val
    assert choose_intervention(val.probe, planted.dark) == 0
    test = effect_of(val.probe, np.zeros(len(val.frame), np.intp), planted.dark, seed=0)
    assert test is not None
    assert test.p is not None
    assert test.p < 0.01
    effect, _ = matched_effects(val.probe, planted.dark)
    assert np.isclose(effect[0], test.interval.value, atol=1e-9)


def test_a_random_half_of_the_groups_is_no_finding(draw: Draw) -> None:
    alarms = 0
    for seed in range(20):
        val = draw(seed, planted=False).val
        inside = np.random.default_rng(seed).random(120)[val.probe.groups] < 0.4
        pair = Pair(
            excess_error(val.errors, val.truth, inside, val.groups, draws=499, seed=seed),
            effect_of(val.probe, np.zeros(len(val.frame), np.intp), inside, seed=seed),
        )
        alarms += judge([(pair, [pair])], 0.05)[0].status == "confirmed"
    assert alarms <= 3


def test_too_few_groups_are_not_testable_rather_than_not_confirmed(draw: Draw) -> None:
    val = draw(0).val
    inside = val.probe.groups < 4
    pair = Pair(excess_error(val.errors, val.truth, inside, val.groups), None)
    tested = judge([(pair, [pair])], 0.05)[0]
    assert tested.status == "not testable"
    assert tested.q is None
    assert tested.excess.groups_needed >= 10


def test_more_slices_tested_make_each_harder_to_confirm(draw: Draw) -> None:
    planted = draw(0)
    val = planted.val
    good = Pair(excess_error(val.errors, val.truth, planted.dark, val.groups), None)
    idle = Pair(excess_error(val.errors, val.truth, ~planted.dark, val.groups), None)
    alone = judge([(good, [good])], 0.05)[0]
    crowded = judge([(good, [good])] + [(idle, [idle])] * 7, 0.05)[0]
    assert alone.q is not None
    assert crowded.q is not None
    assert alone.q < crowded.q


def test_one_half_that_is_confirmed_confirms_the_slice_and_gives_its_p(draw: Draw) -> None:
    planted = draw(0)
    val = planted.val
    good = Pair(excess_error(val.errors, val.truth, planted.dark, val.groups), None)
    idle = Pair(excess_error(val.errors, val.truth, ~planted.dark, val.groups), None)
    tested = judge([(idle, [idle, good])], 0.05)[0]
    assert (tested.best, judge([(idle, [good, idle])], 0.05)[0].best) == (1, 0)
    assert tested.status == "confirmed"
    assert tested.excess.p == good.excess.p
    assert tested.excess.interval == idle.excess.interval


def test_what_helps_photos_that_fail_no_more_than_others_confirms_nothing(draw: Draw) -> None:
    planted = draw(0)
    val = planted.val
    idle = excess_error(val.errors, val.truth, ~planted.dark, val.groups)
    helped = effect_of(val.probe, np.zeros(len(val.frame), np.intp), planted.dark, seed=0)
    assert idle.interval.value < 0
    assert judge([(Pair(idle, helped), [Pair(idle, helped)])], 0.05)[0].status == "not confirmed"
