"""What the tests of learning share."""

import pytest

from pipeline.learning.training.batch_sampling import TrainingImages
from tests.learning.drawn import draw


@pytest.fixture
def images() -> TrainingImages:
    """96 images of two classes."""
    return draw(96)
