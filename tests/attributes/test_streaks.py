import cv2
import numpy as np
import pytest

from pipeline.attributes.streaks import measure
from tests.attributes.images import load_windows, wrap


@pytest.mark.parametrize("angle", [0, 30, 90])
def test_motion_in_any_direction_is_seen_and_defocus_is_not(angle: int) -> None:
    kernel = np.zeros((15, 15), np.float32)
    kernel[7] = 1 / 15
    turn = cv2.getRotationMatrix2D((7, 7), angle, 1)
    kernel = cv2.warpAffine(kernel, turn, (15, 15))
    rises = []
    for window in load_windows():
        moved = cv2.filter2D(window, -1, kernel / kernel.sum())
        defocused = cv2.GaussianBlur(window, (0, 0), 3)
        rises.append(measure(wrap(moved)) - measure(wrap(defocused)))
    assert np.median(rises) > 0
    assert np.mean(rises) > 0.1


def test_a_flat_image_has_no_direction() -> None:
    assert np.isnan(measure(wrap(np.full((9, 9, 3), 50, np.uint8))))
    assert np.isnan(measure(wrap(np.full((2, 9, 3), 50, np.uint8))))
