import time

import numpy as np
import pytest

from pipeline.statistics.permutation_tests import (
    PermutationLimits,
    PermutationTest,
    assign_margin_strata,
    estimate_excess_error,
    estimate_matched_effect,
)
from pipeline.statistics.untestable_reasons import UntestableKind, UntestableReason

RUNS = 250
AT_MOST = 0.05 + 2.6 * (0.05 * 0.95 / RUNS) ** 0.5  # binomial, 99 %


class World:
    """Groups of frames of one class each; hard classes; a group's frames share their luck."""

    def __init__(
        self, rng: np.random.Generator, inside: int = 20, cut: bool = False, groups: int = 100
    ) -> None:
        frames = rng.integers(5, 30, groups)
        self.group = np.repeat(np.arange(groups), frames)
        classes = rng.integers(0, 6, groups)
        self.label = classes[self.group]
        hardness = np.linspace(-3, 0, 6)
        score = rng.normal(size=groups) + hardness[classes]  # the slice draws on hard classes
        deep = score[self.group] + rng.normal(0, 0.5 * cut, len(self.group))
        self.inside = deep > np.sort(score)[-inside - 1]
        self.latent = (hardness[classes] + rng.normal(size=groups))[self.group] + rng.normal(
            0, 0.5, len(self.group)
        )
        self.rng = rng

    def excess(self, planted: float = 0.0) -> PermutationTest:
        chance = 1 / (1 + np.exp(-self.latent - planted * self.inside))
        errors = self.rng.random(len(chance)) < chance
        return estimate_excess_error(errors, self.label, self.inside, self.group, draws=299, seed=1)

    def effect(
        self, harder: float = 0.0, repaired: float = 0.0, matched: bool = True
    ) -> PermutationTest:
        """An intervention that jolts every margin; inside, margins are lower by `harder`."""
        margin = 1 - self.latent - harder * self.inside
        jolt = self.rng.normal(0, 0.7, self.group.max() + 1)[self.group] + self.rng.normal(
            0, 0.7, len(margin)
        )
        after = margin + jolt + repaired * self.inside
        d = (after >= 0).astype(float) - (margin >= 0)
        shown = margin if matched else np.zeros(len(margin))
        wrong = margin < 0 if matched else np.zeros(len(margin), bool)
        return estimate_matched_effect(d, wrong, shown, self.inside, self.group, draws=299, seed=1)


@pytest.mark.parametrize("cut", [False, True])
def test_excess_error_alarms_as_often_as_promised_where_nothing_is_planted(cut: bool) -> None:
    rng = np.random.default_rng(10)
    p = [World(rng, cut=cut).excess().p for _ in range(RUNS)]
    tested = [v for v in p if v is not None]
    assert len(tested) > 0.9 * RUNS
    assert np.mean(np.array(tested) <= 0.05) <= AT_MOST


def test_matched_effect_alarms_as_often_as_promised_where_the_slice_is_merely_harder() -> None:
    rng = np.random.default_rng(11)
    p = [World(rng).effect(harder=1.0).p for _ in range(RUNS)]
    assert np.mean(np.array(p, dtype=float) <= 0.05) <= AT_MOST


def test_without_matching_a_harder_slice_would_alarm() -> None:
    rng = np.random.default_rng(11)
    p = [World(rng, inside=40).effect(harder=2.5, matched=False).p for _ in range(60)]
    assert np.mean(np.array(p, dtype=float) <= 0.05) > 0.3


def test_planted_excess_and_planted_repair_are_significant() -> None:
    rng = np.random.default_rng(12)
    excess = [World(rng).excess(planted=2.0) for _ in range(30)]
    effect = [World(rng).effect(harder=1.0, repaired=1.2) for _ in range(30)]
    for tests in (excess, effect):
        assert np.mean([t.p is not None and t.p <= 0.05 and t.is_large for t in tests]) > 0.7
        assert np.mean([t.interval.low > 0 for t in tests]) > 0.6


def test_the_effect_is_the_difference_to_outsiders_of_the_same_class() -> None:
    group = np.arange(200)
    label = np.repeat(["easy", "hard"], 100)
    inside = np.zeros(200, bool)
    inside[:10] = inside[100:130] = True
    errors = np.zeros(200)
    errors[:5] = 1  # 5 of 10 easy ones inside, none of 90 outside
    errors[100:115] = 1  # 15 of 30 hard ones inside
    errors[130:165] = 1  # 35 of 70 outside
    test = estimate_excess_error(errors, label, inside, group)
    assert test.interval.value == pytest.approx((5 - 0 + 15 - 15) / 40)
    assert test.interval.low < 0.125 < test.interval.high


def test_weights_stand_for_images_not_probed() -> None:
    rng = np.random.default_rng(13)
    inside, group = np.arange(240) < 80, np.arange(240)
    d, margin = (rng.random(240) < np.where(inside, 0.5, 0.1)).astype(float), np.full(240, 0.5)
    weights = np.where(d > 0, 3.0, 1.0)
    wrong = np.zeros(240, bool)
    weighted = estimate_matched_effect(d, wrong, margin, inside, group, weights)
    w, v = weights, d
    expected = np.average(v[inside], weights=w[inside]) - np.average(v[~inside], weights=w[~inside])
    assert weighted.interval.value == pytest.approx(expected)


def test_one_intervention_is_compared_with_itself_only() -> None:
    """An intervention that breaks all images of both folds is not a confirmed effect."""
    inside = np.arange(400) % 4 == 0
    block = np.arange(400) % 400 >= 100  # a block with a larger part inside
    inside[:80] = True
    d = np.where(block, 0.0, 1.0)
    zeros = np.zeros(400)
    apart = estimate_matched_effect(d, zeros, zeros, inside, np.arange(400), interventions=block)
    together = estimate_matched_effect(d, zeros, zeros, inside, np.arange(400))
    assert apart.interval.value == pytest.approx(0.0)
    assert together.interval.value > 0.2


def test_too_few_groups_are_not_tested_and_the_number_is_named() -> None:
    group = np.repeat(np.arange(50), 30)
    test = estimate_excess_error(np.arange(1500) % 7 == 0, np.zeros(1500), group < 6, group)
    assert (test.p, test.statistic, test.inside_group_count) == (None, None, 6)
    assert test.reason is not None
    assert (test.reason.kind, test.reason.found) == (UntestableKind.TOO_FEW_GROUPS, 6)
    assert test.reason.required > 6


@pytest.mark.parametrize(
    ("inside", "reason"),
    [
        (np.arange(300) < 20, UntestableReason(UntestableKind.TOO_FEW_IMAGES, 20, 30)),
        (np.arange(300) < 295, UntestableReason(UntestableKind.TOO_FEW_GROUPS_OUTSIDE, 5, 10)),
        (np.zeros(300, bool), UntestableReason(UntestableKind.TOO_FEW_GROUPS, 0, 10)),
        (np.ones(300, bool), UntestableReason(UntestableKind.TOO_FEW_GROUPS_OUTSIDE, 0, 10)),
    ],
)
def test_other_reasons(inside: np.ndarray, reason: UntestableReason) -> None:
    test = estimate_excess_error(np.arange(300) % 5 == 0, np.zeros(300), inside, np.arange(300))
    assert test.p is None
    assert test.reason == reason


def test_a_slice_without_comparable_outsiders_is_not_tested() -> None:
    label = np.where(np.arange(300) < 100, "only here", "elsewhere")
    inside = np.arange(300) < 120
    test = estimate_excess_error(np.arange(300) % 5 == 0, label, inside, np.arange(300))
    assert test.reason is not None
    assert test.reason.kind == UntestableKind.NOT_COMPARABLE
    assert test.reason.found == pytest.approx(20 / 120)
    lenient = PermutationLimits(min_coverage=0.1)
    assert (
        estimate_excess_error(
            np.arange(300) % 5 == 0, label, inside, np.arange(300), limits=lenient
        ).p
        is not None
    )


def test_no_images_and_no_errors_end_quietly() -> None:
    nothing = estimate_excess_error([], [], [], []).reason
    assert nothing == UntestableReason(UntestableKind.NO_IMAGES)
    perfect = estimate_excess_error(
        np.zeros(200), np.zeros(200), np.arange(200) < 50, np.arange(200)
    )
    assert perfect.p == 1.0
    assert not perfect.is_large


def test_strata_follow_the_margin() -> None:
    margin = np.r_[np.linspace(-4, -0.01, 100), np.linspace(0.01, 9, 1000)]
    strata = assign_margin_strata(margin < 0, margin)
    assert (np.diff(strata) >= 0).all()
    assert np.bincount(strata).tolist() == [25, 25, 25, 25, 20, 30, 50, 150, 250, 500]


def test_same_seed_same_p_and_fast_enough() -> None:
    rng = np.random.default_rng(14)
    group = rng.integers(0, 180, 5000)
    errors, label = rng.random(5000) < 0.1, rng.integers(0, 43, 180)[group]
    start = time.perf_counter()
    first = estimate_excess_error(errors, label, group < 26, group, seed=3)
    assert time.perf_counter() - start < 1.0
    assert first.p == estimate_excess_error(errors, label, group < 26, group, seed=3).p
