"""Signs that are known by which half is bright: left, right, or both."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.remedies import apply_remedy
from pipeline.slices.prescription.label_safety import (
    LabelSafetyInputs,
    find_label_changes,
    list_label_changing_remedies,
    sample_each_class,
)

NAMES = ["keep left", "keep right", "ahead"]


def _guess(pixels: np.ndarray) -> np.ndarray:
    left, right = pixels[:, :, :8].mean((1, 2, 3)), pixels[:, :, 8:].mean((1, 2, 3))
    return np.where(left > right + 20, 0, np.where(right > left + 20, 1, 2))


def _shown(
    each: int = 10, guess: Callable[[np.ndarray], np.ndarray] = _guess, groups: int = 5
) -> LabelSafetyInputs:
    truth = np.repeat([0, 1, 2], each)
    pixels = np.full((3 * each, 16, 16, 3), 30, np.uint8)
    pixels[truth != 1, :, :8] = 200
    pixels[truth != 0, :, 8:] = 200
    return LabelSafetyInputs(
        pixels,
        truth,
        np.array([f"g{k % groups}" for k in range(3 * each)]),
        NAMES,
        apply_remedy,
        guess,
    )


def test_a_mirror_swaps_keep_left_and_keep_right_and_leaves_ahead_alone() -> None:
    found = find_label_changes(_shown(), {"horizontal_flip": [1.0], "vertical_flip": [1.0]}, 0.5)
    assert [(r["remedy"], r["from"], r["to"], r["share"]) for r in found] == [
        ("horizontal_flip", "keep left", "keep right", 1.0),
        ("horizontal_flip", "keep right", "keep left", 1.0),
    ]
    assert [(r["n"], r["groups"]) for r in found] == [(10, 5), (10, 5)]


def test_a_transform_that_only_breaks_a_class_is_no_relabeling() -> None:
    def confused(pixels: np.ndarray) -> np.ndarray:
        """All that is turned reads as keep left, as the images that a model cannot read often do."""
        whole = (pixels == pixels[:, :1]).all((1, 2, 3))
        return np.where(whole, _guess(pixels), 0)

    assert find_label_changes(_shown(guess=confused), {"rotation": [-10.0, 10.0]}, 0.5) == []


def test_a_crop_that_leaves_another_sign_is_refused_though_nothing_undoes_it() -> None:
    found = find_label_changes(_shown(), {"crop": [0.1, 0.95]}, 0.4)
    assert {r["strength"] for r in found} == {0.95}
    assert {(r["from"], r["to"]) for r in found} >= {
        ("keep left", "ahead"),
        ("keep right", "ahead"),
    }


def test_images_that_are_misread_as_they_are_tell_nothing_and_one_group_is_no_rule() -> None:
    assert (
        find_label_changes(
            _shown(guess=lambda p: np.full(len(p), 1)), {"horizontal_flip": [1.0]}, 0.5
        )
        == []
    )
    assert find_label_changes(_shown(groups=1), {"horizontal_flip": [1.0]}, 0.5) == []
    assert find_label_changes(_shown(each=0), {"horizontal_flip": [1.0]}, 0.5) == []


def test_what_is_asked_about_may_train_and_may_change_a_label() -> None:
    assert {"horizontal_flip", "vertical_flip", "rotation", "quarter_turns", "crop"} == set(
        list_label_changing_remedies()
    )


@pytest.mark.parametrize("most", [3, 50])
def test_each_class_shows_as_many_images_spread_over_its_groups(most: int) -> None:
    truth, groups = np.repeat([0, 1, -1], 20), np.array([f"g{k // 4}" for k in range(60)])
    rows = sample_each_class(truth, groups, np.arange(40), most, seed=0)
    counts = np.bincount(truth[rows])
    assert counts.tolist() == [min(most, 20)] * 2
    assert len(set(groups[rows])) == min(2 * most, 10)
    assert len(sample_each_class(truth, groups, np.arange(0), most, seed=0)) == 0
