"""Signs that differ in which half is bright: left, right, or both."""

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

CLASS_NAMES = ["keep left", "keep right", "ahead"]
PredictFunction = Callable[[np.ndarray], np.ndarray]


def _predict_sign(pixels: np.ndarray) -> np.ndarray:
    left, right = pixels[:, :, :8].mean((1, 2, 3)), pixels[:, :, 8:].mean((1, 2, 3))
    return np.where(left > right + 20, 0, np.where(right > left + 20, 1, 2))


def _predict_turned_as_left(pixels: np.ndarray) -> np.ndarray:
    """Return "keep left" for every rotated image, like a model that cannot read them."""
    is_upright = (pixels == pixels[:, :1]).all((1, 2, 3))
    return np.where(is_upright, _predict_sign(pixels), 0)


def _build_inputs(
    predict: PredictFunction = _predict_sign, class_size: int = 10, group_count: int = 5
) -> LabelSafetyInputs:
    labels = np.repeat([0, 1, 2], class_size)
    pixels = np.full((len(labels), 16, 16, 3), 30, np.uint8)
    pixels[labels != 1, :, :8] = 200
    pixels[labels != 0, :, 8:] = 200
    groups = (np.arange(len(labels)) % group_count).astype(str)
    return LabelSafetyInputs(pixels, labels, groups, CLASS_NAMES, apply_remedy, predict)


def test_a_mirror_swaps_keep_left_and_keep_right_only() -> None:
    strengths = {"horizontal_flip": [1.0], "vertical_flip": [1.0]}
    changes = find_label_changes(_build_inputs(), strengths, 0.5)
    mirror = {"remedy": "horizontal_flip", "strength": 1.0, "share": 1.0, "n": 10, "groups": 5}
    assert changes == [
        mirror | {"from": "keep left", "to": "keep right"},
        mirror | {"from": "keep right", "to": "keep left"},
    ]


def test_a_transform_that_only_breaks_a_class_changes_no_label() -> None:
    inputs = _build_inputs(_predict_turned_as_left)
    assert find_label_changes(inputs, {"rotation": [-10.0, 10.0]}, 0.5) == []


def test_a_crop_to_another_sign_changes_the_label_without_an_inverse() -> None:
    changes = find_label_changes(_build_inputs(), {"crop": [0.1, 0.95]}, 0.4)
    assert {change["strength"] for change in changes} == {0.95}
    pairs = {(change["from"], change["to"]) for change in changes}
    assert pairs >= {("keep left", "ahead"), ("keep right", "ahead")}


@pytest.mark.parametrize(
    "inputs",
    [
        _build_inputs(lambda pixels: np.full(len(pixels), 1)),
        _build_inputs(group_count=1),
        _build_inputs(class_size=0),
    ],
    ids=["misclassified without a transform", "one group", "no images"],
)
def test_insufficient_images_show_no_label_change(inputs: LabelSafetyInputs) -> None:
    assert find_label_changes(inputs, {"horizontal_flip": [1.0]}, 0.5) == []


def test_geometric_remedies_may_change_a_label_and_light_may_not() -> None:
    names = set(list_label_changing_remedies())
    assert names >= {"horizontal_flip", "vertical_flip", "rotation", "quarter_turns", "crop"}
    assert not names & {"exposure", "blur", "noise", "oversampling"}


@pytest.mark.parametrize("max_per_class", [3, 50])
def test_each_class_is_sampled_over_its_groups(max_per_class: int) -> None:
    labels, groups = np.repeat([0, 1, -1], 20), (np.arange(60) // 4).astype(str)
    rows = sample_each_class(labels, groups, np.arange(40), max_per_class, seed=0)
    assert np.bincount(labels[rows]).tolist() == [min(max_per_class, 20)] * 2
    assert len(set(groups[rows])) == min(2 * max_per_class, 10)
    assert len(sample_each_class(labels, groups, np.arange(0), max_per_class, seed=0)) == 0
