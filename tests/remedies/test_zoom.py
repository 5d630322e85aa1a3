import numpy as np
import pytest

from pipeline.remedies import apply_remedy


@pytest.mark.parametrize("scale", [0.7, 1.4])
def test_lengths_are_multiplied_around_the_center(scale: float) -> None:
    image = np.zeros((1, 64, 64, 3), np.uint8)
    image[0, 22:42, 22:42] = 255
    zoomed = apply_remedy("zoom", image, scale, scale, seed=1)[0, :, :, 0]
    inside = zoomed if scale > 1 else zoomed[14:50, 14:50]
    assert np.sqrt(inside.sum() / 255.0) == pytest.approx(20 * scale, rel=0.04)
    y, x = np.average(np.indices(zoomed.shape).reshape(2, -1), axis=1, weights=zoomed.ravel())
    assert (y, x) == pytest.approx((31.5, 31.5), abs=0.6)


def test_edges_are_filled_by_reflection(images: np.ndarray) -> None:
    assert apply_remedy("zoom", images, 0.7, 0.7, seed=1).min() >= 35
