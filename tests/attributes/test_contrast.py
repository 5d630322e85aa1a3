import numpy as np
import pytest

from pipeline.attributes import Shot
from pipeline.attributes.contrast import contrast


def test_half_black_half_white_is_the_most() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, 4:] = 255
    assert contrast(Shot(pixels, None, 8, 8)) == pytest.approx(127.5)


def test_flat_is_zero_and_a_shift_of_brightness_changes_nothing(scene: np.ndarray) -> None:
    assert contrast(Shot(np.full((8, 8, 3), 77, np.uint8), None, 8, 8)) == 0
    assert contrast(Shot(scene + 40, None, 128, 96)) == pytest.approx(contrast(Shot(scene, None, 128, 96)), abs=0.01)
