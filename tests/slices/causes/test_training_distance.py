"""A sub-class that training lacks is told from one that it holds."""

from dataclasses import replace

import numpy as np

from pipeline.domain.slice_traits import TrainingDistanceTrait
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.training_distance import TrainingReference, find_training_distance
from tests.slices.conftest import Draw

FEATURES = 16


def _embed(val: ValidationSet, is_odd: np.ndarray) -> ValidationSet:
    """Return images near the direction of their class, and odd ones near a fourth direction."""
    kinds = np.where(is_odd, 3, val.labels)
    noise = np.random.default_rng(0).normal(0, 0.1, (len(kinds), FEATURES))
    embeddings = (np.eye(FEATURES)[kinds] + noise).astype(np.float32)
    return replace(val, embeddings=embeddings, predictions=np.where(is_odd, 1, val.labels))


def _train(kinds: np.ndarray, labels: np.ndarray) -> TrainingReference:
    noise = np.random.default_rng(1).normal(0, 0.1, (len(kinds), FEATURES))
    ids = np.array([f"t{row}" for row in range(len(kinds))])
    return TrainingReference(ids, (np.eye(FEATURES)[kinds] + noise).astype(np.float32), labels)


def test_images_of_a_kind_that_training_lacks_are_unlike_it(draw: Draw) -> None:
    drawn = draw(2, planted=False).val
    is_odd = (drawn.labels == 0) & (np.arange(len(drawn.labels)) % 7 == 0)
    val = _embed(drawn, is_odd)
    labels = np.arange(300) % 2
    training = _train(labels, labels)
    trait = find_training_distance(val, is_odd, training, 0)
    assert isinstance(trait, TrainingDistanceTrait)
    assert trait.share > 0.9
    assert trait.expected < 0.15
    assert trait.training_count == 150
    assert all(int(name[1:]) % 2 == 0 for name in trait.nearest_ids), "of the same class"
    kinds = np.where(np.arange(300) % 4 == 0, 3, labels)
    assert find_training_distance(val, is_odd, _train(kinds, labels), 0) is None


def test_failures_that_are_as_near_as_other_images_are_no_trait(draw: Draw) -> None:
    val = _embed(draw(2, planted=False).val, np.zeros(1, bool))
    is_failing = np.arange(len(val.labels)) % 9 == 0
    val = replace(val, predictions=np.where(is_failing, (val.labels + 1) % 3, val.labels))
    labels = np.arange(300) % 3
    assert find_training_distance(val, is_failing, _train(labels, labels), 0) is None


def test_without_images_to_compare_with_there_is_no_trait(draw: Draw) -> None:
    val = _embed(draw(2, planted=False).val, np.zeros(1, bool))
    nothing = np.zeros(len(val.labels), bool)
    labels = np.arange(10) % 2
    assert find_training_distance(val, nothing, _train(labels, labels), 0) is None
    none = _train(labels[:0], labels[:0])
    val = _embed(val, np.arange(len(val.labels)) % 9 == 0)
    assert find_training_distance(val, val.is_misclassified, none, 0) is None
    assert find_training_distance(val, ~nothing, _train(labels, labels), 0) is None
