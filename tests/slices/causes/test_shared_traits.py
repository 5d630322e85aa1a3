from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.slice_traits import (
    ClassNeighborsTrait,
    ConfusionTrait,
    MeasureTrait,
    SliceNeighborsTrait,
    SliceTrait,
    ValueTrait,
)
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.shared_traits import find_shared_traits
from pipeline.slices.finder_constants import CONSTANTS
from tests.slices.conftest import Draw


def _draw_noise(val: ValidationSet) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 1, (len(val.frame), 8)).astype(np.float32)


def _find_odd(val: ValidationSet) -> np.ndarray:
    """Return the planted slice: twelve groups of class a, bool [rows]."""
    groups = np.unique(val.groups[val.labels == 0])[:12]
    return np.isin(val.groups, groups)


def _find(val: ValidationSet, slice_mask: np.ndarray, *reported: str) -> list[SliceTrait]:
    return find_shared_traits(val, slice_mask, set(reported), 0)


def _confuse_all(odd: np.ndarray) -> ConfusionTrait:
    count = int(odd.sum())
    return ConfusionTrait("a", "b", count, count)


@pytest.fixture
def val(draw: Draw) -> ValidationSet:
    """Groups of class a that are predicted as b: a little sharper, mostly on camera north."""
    drawn = draw(2, planted=False).val
    odd, rng = _find_odd(drawn), np.random.default_rng(1)
    is_north = odd & (rng.random(len(odd)) < 0.9)
    frame = drawn.frame.assign(
        sharpness=drawn.frame["sharpness"] + 1.5 * odd,
        camera=np.where(is_north, "north", drawn.frame["camera"]),
    )
    predictions = np.where(odd, 1, drawn.labels)
    return replace(drawn, frame=frame, predictions=predictions, embeddings=_draw_noise(drawn))


def test_confusion_neighbors_measures_and_values_are_found(val: ValidationSet) -> None:
    odd, embeddings = _find_odd(val), _draw_noise(val)
    axes = np.eye(8, dtype=np.float32)
    embeddings[odd] += 6 * axes[0]
    embeddings[val.labels == 1] += 5 * axes[0] + 2 * axes[1]
    confusion, neighbors, neighbor_class, measure, value = _find(
        replace(val, embeddings=embeddings), odd
    )
    assert confusion == _confuse_all(odd)
    assert isinstance(neighbors, SliceNeighborsTrait)
    assert neighbors.expected == pytest.approx(odd.mean())
    assert isinstance(neighbor_class, ClassNeighborsTrait)
    assert (neighbor_class.class_name, round(neighbor_class.share, 2)) == ("b", 0.99)
    assert isinstance(measure, MeasureTrait)
    assert measure.column == "sharpness"
    assert 1 <= measure.deviation < 2
    assert isinstance(value, ValueTrait)
    assert (value.column, value.value) == ("camera", "north")
    assert value.expected < 0.9 <= value.share


def test_reported_columns_and_chance_neighbors_are_left_out(val: ValidationSet) -> None:
    odd = _find_odd(val)
    traits = _find(val, odd, "sharpness", "camera")
    assert traits == [_confuse_all(odd)]
    without_embeddings = replace(val, embeddings=np.zeros((len(val.frame), 0), np.float32))
    assert _find(without_embeddings, odd, "sharpness", "camera") == traits


def test_a_measure_is_compared_within_the_class(val: ValidationSet) -> None:
    """A class that is sharper as a whole does not make its failures sharp."""
    sharpness = 10.0 * (val.labels == 0) + np.random.default_rng(0).normal(0, 1, len(val.frame))
    frame = val.frame.assign(sharpness=sharpness, camera="north")
    traits = _find(replace(val, frame=frame), _find_odd(val))
    assert not any(isinstance(trait, MeasureTrait) for trait in traits)


def test_images_of_the_same_group_are_no_neighbors(val: ValidationSet) -> None:
    """Frames of one track resemble each other in any case."""
    group = np.unique(val.groups, return_inverse=True)[1]
    embeddings = 3 * np.eye(256, dtype=np.float32)[8 + group]
    embeddings[:, :8] += _draw_noise(val)
    traits = _find(replace(val, embeddings=embeddings), _find_odd(val), "sharpness", "camera")
    assert len(traits) == 1, "only the confusion"


def test_too_few_failures_share_nothing(val: ValidationSet) -> None:
    few = np.zeros(len(val.frame), bool)
    few[np.flatnonzero(_find_odd(val))[: CONSTANTS.causes.min_described_failures - 1]] = True
    assert _find(val, few) == []


def test_a_slice_without_images_outside_or_other_groups_has_its_confusion_only(
    val: ValidationSet,
) -> None:
    odd = _find_odd(val)
    assert _find(val, np.ones(len(val.frame), bool))[-1] == _confuse_all(odd)
    one_group = replace(val, frame=val.frame.assign(group="g0"))
    assert _find(one_group, odd, "sharpness", "camera") == [_confuse_all(odd)]
