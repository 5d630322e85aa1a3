from dataclasses import replace

import numpy as np

from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.family.feature_neighborhoods import build_neighborhoods
from tests.slices.conftest import Draw


def _add_kinds(val: ValidationSet, count: int = 10) -> tuple[ValidationSet, np.ndarray]:
    """Return the set with features of that many kinds of images, and the kind of each image."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, count, val.image_count)
    noise = rng.normal(0, 0.15, (val.image_count, 16))
    return replace(val, embeddings=(3 * np.eye(16)[kinds] + noise).astype(np.float32)), kinds


def test_each_kind_of_images_is_a_neighborhood_over_all_images(draw: Draw) -> None:
    val, kinds = _add_kinds(draw(0).val)
    neighborhoods, distances = build_neighborhoods(val, 20, 0)
    masks = [
        item.condition.compute_mask(val.frame, distances)
        for item in neighborhoods
        if item.label is None
    ]
    for kind in range(10):
        own = kinds == kind
        assert max((mask & own).sum() / (mask | own).sum() for mask in masks) > 0.6


def test_a_kind_within_a_class_is_a_neighborhood_of_that_class(draw: Draw) -> None:
    val, kinds = _add_kinds(draw(0).val, 4)
    neighborhoods, distances = build_neighborhoods(val, 10, 0)
    own = (kinds == 2) & (val.labels == 1)
    overlaps = []
    for item in neighborhoods:
        if item.label == "b":
            mask = item.condition.compute_mask(val.frame, distances) & (val.labels == 1)
            overlaps.append((mask & own).sum() / (mask | own).sum())
    assert max(overlaps) > 0.6


def test_outcomes_change_no_neighborhood(draw: Draw) -> None:
    val, _ = _add_kinds(draw(0).val)
    other = replace(val, predictions=np.zeros_like(val.predictions), logits=val.logits + 1)
    assert build_neighborhoods(val, 20, 0)[0] == build_neighborhoods(other, 20, 0)[0]


def test_no_features_and_few_images_give_no_neighborhood(draw: Draw) -> None:
    val = draw(0).val
    assert build_neighborhoods(val, 20, 0) == ([], {})
    with_features, _ = _add_kinds(val)
    few = with_features.select_rows(np.arange(val.image_count) < 30)
    assert build_neighborhoods(few, 20, 0)[0] == []
