"""What the tests of learning share."""

import pytest

from pipeline.learning.batches import Photos
from tests.learning.drawn import draw


@pytest.fixture
def photos() -> Photos:
    """96 photos of two classes."""
    return draw(96)
