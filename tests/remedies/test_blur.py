import numpy as np
import pytest

from pipeline.attributes import measure_images
from pipeline.remedies import apply_remedy


@pytest.mark.parametrize("sigma", [0.7, 1.2, 2.0])
def test_strength_is_the_standard_deviation_of_the_spread(sigma: float) -> None:
    point = np.zeros((1, 65, 65, 3), np.uint8)
    point[0, :, 32] = 255
    profile = apply_remedy("blur", point, sigma, sigma, seed=1)[0, 32, :, 0].astype(float)
    x = np.arange(65)
    assert np.sqrt(np.average((x - 32) ** 2, weights=profile)) == pytest.approx(sigma, rel=0.06)


def test_brightness_stays_and_sharpness_falls(images: np.ndarray) -> None:
    before = measure_images(images)
    after = measure_images(apply_remedy("blur", images, 1.2, 1.2, seed=1))
    np.testing.assert_allclose(after["luminance"], before["luminance"], atol=0.5)
    assert (after["sharpness"] < before["sharpness"]).all()
