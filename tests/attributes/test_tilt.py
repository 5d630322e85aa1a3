import cv2
import numpy as np
import pytest

from pipeline.attributes import DecodedImage, measure_images
from pipeline.attributes.tilt import measure
from pipeline.remedies import apply_remedy


def _gate(angle: float) -> DecodedImage:
    """A rectangle turned anticlockwise by `angle` degrees."""
    pixels = np.full((120, 160, 3), 60, np.uint8)
    corners = cv2.boxPoints(((80, 60), (70, 40), -angle))  # OpenCV's angles run clockwise
    cv2.fillConvexPoly(pixels, np.rint(corners).astype(int), (180, 170, 160), cv2.LINE_AA)
    return DecodedImage(pixels, None, 160, 120)


@pytest.mark.parametrize("angle", [-30, -12, -4, 0, 4, 12, 30])
def test_reads_the_angle_of_a_turned_rectangle(angle: float) -> None:
    assert measure(_gate(angle)) == pytest.approx(angle, abs=1.5)


@pytest.mark.parametrize("angle", [-20.0, 10.0])
def test_follows_the_rotation_of_small_copies(angle: float) -> None:
    copies = np.stack(
        [
            cv2.resize(_gate(a).pixels[:, 20:140], (64, 64), interpolation=cv2.INTER_AREA)
            for a in (0, 5)
        ]
    )
    turned = (
        measure_images(apply_remedy("rotation", copies, angle, angle, seed=1))["tilt"]
        - measure_images(copies)["tilt"]
    )
    np.testing.assert_allclose(turned, angle, atol=2)


def test_light_and_contrast_leave_it_alone(scene: np.ndarray) -> None:
    dark = DecodedImage(np.rint(scene * 0.4).astype(np.uint8), None, 128, 96)
    assert measure(dark) == pytest.approx(measure(DecodedImage(scene, None, 128, 96)), abs=1)


def test_a_image_without_edges_has_no_direction() -> None:
    assert np.isnan(measure(DecodedImage(np.full((9, 9, 3), 50, np.uint8), None, 9, 9)))
