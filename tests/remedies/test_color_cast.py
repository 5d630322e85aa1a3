import numpy as np
import pytest

from pipeline.attributes import measure_images
from pipeline.remedies import apply_remedy


@pytest.mark.parametrize("ratio", [0.6, 1.6])
def test_strength_is_the_ratio_of_red_to_blue(ratio: float, images: np.ndarray) -> None:
    treated = apply_remedy("color_cast", images, ratio, ratio, seed=1)
    change = treated.mean(axis=(1, 2)) / images.mean(axis=(1, 2))
    np.testing.assert_allclose(change[:, 0] / change[:, 2], ratio, rtol=0.01)
    np.testing.assert_allclose(change[:, 1], 1)


def test_above_one_is_warmer(images: np.ndarray) -> None:
    assert (
        measure_images(apply_remedy("color_cast", images, 1.6, 1.6, seed=1))["warmth"]
        > measure_images(images)["warmth"] + 0.1
    ).all()
