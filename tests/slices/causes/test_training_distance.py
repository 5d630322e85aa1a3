"""A sub-class that training lacks is told from one that it holds."""

from dataclasses import replace

import numpy as np

from pipeline.domain.slice_traits import TrainingDistanceTrait
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.training_distance import TrainingImages, find_training_distance
from tests.slices.conftest import Draw

FEATURES = 16


def _embed(val: ValidationSet, is_odd: np.ndarray) -> ValidationSet:
    """Return images near the direction of their class, and odd ones near a third direction."""
    kinds = np.where(is_odd, 2, val.labels)
    noise = np.random.default_rng(0).normal(0, 0.1, (len(kinds), FEATURES))
    embeddings = (np.eye(FEATURES)[kinds] + noise).astype(np.float32)
    return replace(val, embeddings=embeddings, predictions=np.where(is_odd, 1, val.labels))


def _train(kinds: np.ndarray, labels: np.ndarray) -> TrainingImages:
    noise = np.random.default_rng(1).normal(0, 0.1, (len(kinds), FEATURES))
    return TrainingImages((np.eye(FEATURES)[kinds] + noise).astype(np.float32), labels)


def test_images_of_a_kind_that_training_lacks_are_unlike_it(draw: Draw) -> None:
    drawn = draw(2, planted=False).val
    is_odd = (drawn.labels == 0) & (np.arange(len(drawn.labels)) % 7 == 0)
    val = _embed(drawn, is_odd)
    labels = np.arange(300) % 2
    trait = find_training_distance(val, is_odd, _train(labels, labels), 0)
    assert isinstance(trait, TrainingDistanceTrait)
    assert trait.share > 0.9
    assert trait.expected < 0.15
    assert trait.training_count == 150
    kinds = np.where(np.arange(300) % 4 == 0, 2, labels)
    assert find_training_distance(val, is_odd, _train(kinds, labels), 0) is None


def test_without_images_to_compare_with_there_is_no_trait(draw: Draw) -> None:
    val = _embed(draw(2, planted=False).val, np.zeros(1, bool))
    nothing = np.zeros(len(val.labels), bool)
    labels = np.arange(10) % 2
    assert find_training_distance(val, nothing, _train(labels, labels), 0) is None
    none = TrainingImages(np.zeros((0, FEATURES), np.float32), np.zeros(0, np.intp))
    val = _embed(val, np.arange(len(val.labels)) % 9 == 0)
    assert find_training_distance(val, val.is_misclassified, none, 0) is None
