import numpy as np
import pytest

from pipeline.attributes import measure_images
from pipeline.remedies import apply_remedy


@pytest.mark.parametrize("factor", [0.5, 1.5, 2.0])
def test_spread_is_multiplied_and_the_mean_stays(factor: float, images: np.ndarray) -> None:
    before = measure_images(images)
    after = measure_images(apply_remedy("contrast", images, factor, factor, seed=1))
    np.testing.assert_allclose(
        after["contrast_level"], before["contrast_level"] * factor, rtol=0.02
    )
    np.testing.assert_allclose(after["luminance"], before["luminance"], atol=0.6)


def test_each_image_keeps_its_own_mean() -> None:
    pair = np.stack([np.full((8, 8, 3), 40, np.uint8), np.full((8, 8, 3), 200, np.uint8)])
    np.testing.assert_array_equal(apply_remedy("contrast", pair, 0.5, 0.5, seed=1), pair)


def test_a_factor_that_leaves_black_and_white_only_is_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="contrast up to x10, got x103"):
        apply_remedy("contrast", images, 103, 103, seed=1)
