import cv2
import numpy as np

from pipeline.attributes import DecodedImage
from pipeline.attributes.sharpness import measure


def test_falls_with_every_step_of_blur(scene: np.ndarray) -> None:
    steps = [scene, *(cv2.GaussianBlur(scene, (0, 0), s) for s in (0.7, 1.5, 3))]
    values = [measure(DecodedImage(s, None, 128, 96)) for s in steps]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1] + 0.5


def test_flat_is_zero_and_a_checkerboard_is_known() -> None:
    assert measure(DecodedImage(np.full((9, 9, 3), 50, np.uint8), None, 9, 9)) == 0
    board = np.indices((10, 10)).sum(0) % 2 * 100
    pixels = np.repeat(board[..., None], 3, 2).astype(
        np.uint8
    )  # the Laplacian is 400 or -400 everywhere
    assert measure(DecodedImage(pixels, None, 10, 10)) == np.log10(1 + 400**2)


def test_too_small_is_unknown() -> None:
    assert np.isnan(measure(DecodedImage(np.zeros((2, 9, 3), np.uint8), None, 9, 2)))
