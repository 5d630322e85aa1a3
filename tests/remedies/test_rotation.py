import numpy as np
import pytest

from pipeline.remedies import apply_remedy


@pytest.mark.parametrize("angle", [-30.0, -10.0, 20.0])
def test_positive_degrees_turn_anticlockwise_by_the_angle(angle: float) -> None:
    image = np.zeros((1, 65, 65, 3), np.uint8)
    image[0, 29:36, 49:56] = 255  # a spot to the right of the center, 20 px away
    turned = apply_remedy("rotation", image, angle, angle, seed=1)[0, :, :, 0]
    y, x = np.average(np.indices(turned.shape).reshape(2, -1), axis=1, weights=turned.ravel())
    assert np.degrees(np.arctan2(32 - y, x - 32)) == pytest.approx(angle, abs=0.7)
    assert np.hypot(32 - y, x - 32) == pytest.approx(20, abs=0.4)


def test_corners_are_filled_by_reflection(images: np.ndarray) -> None:
    assert (
        apply_remedy("rotation", images, 30, 30, seed=1).min() >= 35
    )  # black corners would be a sign of the treatment


def test_a_turn_on_its_side_is_left_to_the_quarter_turns(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"at most 60 degrees, got -67\.5 to -15"):
        apply_remedy("rotation", images, -67.5, -15, seed=1)
