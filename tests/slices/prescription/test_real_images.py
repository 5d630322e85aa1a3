"""Validation images in training: pipeline/slices/prescription/real_images.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.domain.rules import Condition, Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.candidates.cross_fitting import assign_halves
from pipeline.slices.prescription.real_images import (
    RealImages,
    draw_whole_groups,
    select_real_images,
)
from tests.helpers.gate_artifacts import make_explanation
from tests.helpers.validation_sets import make_validation_set

COUNT = 400
GROUPS = np.repeat(np.arange(100), 4)
LABELS = np.arange(COUNT) % 2
IS_DARK = GROUPS % 4 == 0
TRAINING_LABELS = np.repeat([0, 1], 500)
DARK_RULE = Rule((Condition("luminance", "<=", 40.0),))


def _make_val(is_dark: NDArray[np.bool_] = IS_DARK, **fields: Any) -> ValidationSet:
    frame = pd.DataFrame(
        {
            "image_id": [f"i{row}" for row in range(COUNT)],
            "label": np.array(["a", "b"])[LABELS],
            "group": [f"g{group}" for group in GROUPS],
            "luminance": np.where(is_dark, 20.0, 120.0),
        }
    )
    return make_validation_set(frame, LABELS, LABELS, folds=GROUPS % 5, **fields)


def _select(
    val: ValidationSet,
    max_repeats: int = 20,
    rule: Rule = DARK_RULE,
    training_labels: NDArray[np.int64] = TRAINING_LABELS,
) -> RealImages | None:
    row = make_explanation("s1", "confirmed") | {"frozen": rule.dump_json()}
    explanations = pd.DataFrame([row])
    return select_real_images(val, explanations, {"s1"}, training_labels, max_repeats, 0)


def test_each_half_gives_its_own_slice_images_and_as_many_random_ones() -> None:
    val = _make_val()
    halves = assign_halves(val.folds)
    real = _select(val)
    assert real is not None
    for half in (0, 1):
        targeted, random = real.targeted[half].positions, real.random[half].positions
        np.testing.assert_array_equal(targeted, np.flatnonzero(IS_DARK & (halves == half)))
        assert len(random) == len(targeted)
        assert (halves[random] == half).all()
        assert 0 < IS_DARK[random].sum() < len(random)
        assert len(set(GROUPS[random])) <= len(random) / 4 + 1, "whole groups"
        # A quarter of val is dark: 250 of 1000 images.
        assert real.targeted[half].repeats.sum() == pytest.approx(250, abs=20)
        assert set(real.random[half].repeats) == {1}


def test_a_rule_of_one_class_admits_the_others_too_in_the_shares_of_training() -> None:
    few = np.where(LABELS == 0, GROUPS % 4 == 0, GROUPS % 8 == 0)
    real = _select(_make_val(few), rule=Rule(DARK_RULE.conditions, "a"))
    assert real is not None
    for repeated in real.targeted:
        labels = LABELS[repeated.positions]
        assert (labels == 0).sum() > 1.5 * (labels == 1).sum() > 0
        shown = np.bincount(labels, repeated.repeats)
        assert shown[0] == pytest.approx(shown[1], rel=0.15)


def test_repeats_are_bounded_and_zero_turns_it_off() -> None:
    real = _select(_make_val(), 3, training_labels=np.repeat([0, 1], 5000))
    assert real is not None
    for repeated in real.targeted:
        assert set(repeated.repeats) == {3}
    assert _select(_make_val(), 0) is None


def test_a_half_without_images_of_a_slice_turns_it_off() -> None:
    only_first = IS_DARK & (assign_halves(GROUPS % 5) == 0)
    assert _select(_make_val(only_first)) is None
    assert _select(_make_val(np.zeros(COUNT, bool))) is None


def test_doubtful_labels_are_not_trained_on() -> None:
    doubtful = np.arange(COUNT) % 4 == 1
    real = _select(_make_val(has_label_issue=doubtful))
    assert real is not None
    for repeated in (*real.targeted, *real.random):
        assert len(repeated.positions)
        assert not doubtful[repeated.positions].any()


def test_random_images_come_by_whole_groups() -> None:
    names = GROUPS.astype(str)
    can_draw = np.arange(COUNT) < 200
    drawn = draw_whole_groups(names, can_draw, 38, np.random.default_rng(1))
    assert len(drawn) == 38
    assert (drawn < 200).all()
    counts = np.unique(GROUPS[drawn], return_counts=True)[1]
    assert sorted(counts) == [2, *[4] * 9]
    assert len(draw_whole_groups(names, can_draw, 999, np.random.default_rng(1))) == 200


def test_classes_are_balanced_within_each_slice_not_over_all_slices() -> None:
    """Slice s2 has few images of class a, and s1 few of class b: together they are balanced."""
    is_first, is_second = GROUPS % 4 == 0, GROUPS % 4 == 1
    rare = (is_first & (LABELS == 1)) | (is_second & (LABELS == 0))
    kept = ~rare | (GROUPS % 8 < 4)
    values = np.where(is_first & kept, 20.0, np.where(is_second & kept, 220.0, 120.0))
    val = _make_val()
    frame = val.frame.assign(luminance=values)
    val = replace(val, frame=frame)
    bright = Rule((Condition("luminance", ">=", 200.0),))
    rows = []
    for name, rule in (("s1", DARK_RULE), ("s2", bright)):
        rows.append(make_explanation(name, "confirmed") | {"frozen": rule.dump_json()})
    real = select_real_images(val, pd.DataFrame(rows), {"s1", "s2"}, TRAINING_LABELS, 20, 0)
    assert real is not None
    for repeated in real.targeted:
        for level in (20.0, 220.0):
            is_inside = values[repeated.positions] == level
            labels = LABELS[repeated.positions][is_inside]
            shown = np.bincount(labels, repeated.repeats[is_inside])
            assert shown[0] == pytest.approx(shown[1], rel=0.2)
