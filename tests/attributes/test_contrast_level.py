import numpy as np
import pytest

from pipeline.attributes import DecodedImage
from pipeline.attributes.contrast_level import measure


def test_half_black_half_white_is_the_most() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, 4:] = 255
    assert measure(DecodedImage(pixels, None, 8, 8)) == pytest.approx(127.5)


def test_flat_is_zero_and_a_shift_of_brightness_changes_nothing(scene: np.ndarray) -> None:
    assert measure(DecodedImage(np.full((8, 8, 3), 77, np.uint8), None, 8, 8)) == 0
    assert measure(DecodedImage(scene + 40, None, 128, 96)) == pytest.approx(
        measure(DecodedImage(scene, None, 128, 96)), abs=0.01
    )
