import numpy as np
import pytest

from pipeline.attributes import measure_images
from pipeline.remedies import apply_remedy


def test_the_strength_moves_all_pixels_toward_the_gray_of_the_fog(images: np.ndarray) -> None:
    foggy = apply_remedy("fog", images, 0.5, 0.5, seed=1).astype(float)
    np.testing.assert_allclose(foggy - 215, (images - 215.0) * 0.5, atol=0.5)


def test_below_zero_lifts_the_same_fog(images: np.ndarray) -> None:
    lifted = apply_remedy("fog", apply_remedy("fog", images, 0.5, 0.5, seed=1), -1, -1, seed=1)
    np.testing.assert_allclose(lifted.astype(int), images, atol=1)


def test_fog_is_pale_and_low_in_contrast(images: np.ndarray) -> None:
    before = measure_images(images)
    after = measure_images(apply_remedy("fog", images, 0.7, 0.7, seed=1))
    assert (after["luminance"] > before["luminance"] + 40).all()
    assert (after["contrast_level"] < 0.5 * before["contrast_level"]).all()


def test_fog_never_hides_everything(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a share below 1"):
        apply_remedy("fog", images, 1.0, 1.0, seed=1)
