import numpy as np
import pytest

from pipeline.attributes import measure_images
from pipeline.remedies import apply_remedy


@pytest.mark.parametrize("length", [5.0, 9.0, 15.0])
def test_the_strength_is_the_length_of_the_line_that_a_point_becomes(length: float) -> None:
    points = np.zeros((12, 65, 65, 3), np.uint8)
    points[:, 32, 32] = 255
    smeared = apply_remedy("motion_blur", points, length, length, seed=1)[..., 0]
    reach = [np.ptp(np.argwhere(image), axis=0).max() + 1 for image in smeared]
    assert max(reach) == length
    assert min(reach) >= 0.7 * length - 1, "the grid cuts a slanting line short, and no more"
    wide = np.array([np.ptp(np.argwhere(image), axis=0) for image in smeared])
    assert (wide[:, 0] > wide[:, 1]).any()
    assert (wide[:, 0] < wide[:, 1]).any(), "each image has a direction of its own"


def test_brightness_stays_and_sharpness_falls(images: np.ndarray) -> None:
    before = measure_images(images)
    after = measure_images(apply_remedy("motion_blur", images, 9, 9, seed=1))
    np.testing.assert_allclose(after["luminance"], before["luminance"], atol=1.5)
    assert (after["sharpness"] < before["sharpness"]).all()
