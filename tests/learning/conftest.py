"""Fixtures of the learning tests."""

import pytest

from pipeline.learning.batches.batch_sampling import TrainingImages
from tests.learning.drawn import draw_images


@pytest.fixture
def images() -> TrainingImages:
    """96 images of two classes."""
    return draw_images(96)
