"""The share at which every part fares best: pipeline/statistics/gains/share_choice.py."""

from __future__ import annotations

import numpy as np

from pipeline.statistics.gains.share_choice import choose_share, list_judged_parts, score_parts

LABELS = np.array([0] * 40 + [1] * 40, dtype=np.intp)
DARK = np.arange(80) % 40 < 10
GROUPS = np.arange(80) // 2
EVERYTHING = np.ones(80, dtype=np.bool_)


def test_each_class_in_each_slice_and_outside_is_a_part() -> None:
    parts = list_judged_parts(LABELS, {"s1": DARK})
    assert [part.sum() for part in parts] == [10, 10, 30, 30]
    np.testing.assert_array_equal(np.sum(parts, axis=0), 1)
    only_one_class = list_judged_parts(LABELS, {"s1": DARK & (LABELS == 0)})
    assert [part.sum() for part in only_one_class] == [10, 30, 40]


def test_a_small_part_counts_as_much_as_a_large_one() -> None:
    parts = list_judged_parts(LABELS, {"s1": DARK})
    without_one_dark_class = np.where(DARK & (LABELS == 0), 0.0, 1.0)
    assert score_parts(without_one_dark_class, parts, EVERYTHING) == 0.75
    assert score_parts(without_one_dark_class, parts, ~DARK) == 1.0


def test_a_share_that_pays_with_one_class_is_not_chosen() -> None:
    parts = list_judged_parts(LABELS, {"s1": DARK})
    before = np.where(DARK & (LABELS == 1), 0.0, 1.0)
    both = np.where(DARK & (np.arange(80) % 5 == 0), 0.0, 1.0)
    utilities = {0.4: before, 0.7: both, 1.0: np.where(DARK & (LABELS == 0), 0.0, 1.0)}
    assert choose_share(utilities, parts, EVERYTHING, GROUPS) == 0.7


def test_only_the_images_inside_choose() -> None:
    parts = list_judged_parts(LABELS, {"s1": DARK})
    utilities = {1.0: np.where(DARK, 0.0, 1.0), 0.4: np.where(DARK, 1.0, 0.0)}
    assert choose_share(utilities, parts, DARK, GROUPS) == 0.4
    assert choose_share(utilities, parts, ~DARK, GROUPS) == 1.0


def test_within_one_standard_error_the_share_stays_near_the_model_before() -> None:
    parts = list_judged_parts(LABELS, {"s1": DARK})
    best = np.ones(80)
    one_worse = np.where(np.arange(80) == 30, 0.0, 1.0)
    assert choose_share({1.0: best, 0.4: one_worse}, parts, EVERYTHING, GROUPS) == 0.4
    many_worse = np.where(np.arange(80) % 4 == 0, 0.0, 1.0)
    assert choose_share({1.0: best, 0.4: many_worse}, parts, EVERYTHING, GROUPS) == 1.0
