import numpy as np
import pytest

from pipeline.remedies import apply_remedy

FLAT = np.full((4, 64, 64, 3), 128, np.uint8)


@pytest.mark.parametrize("sigma", [6.0, 12.0, 25.0])
def test_strength_is_the_standard_deviation_in_gray_levels(sigma: float) -> None:
    noisy = apply_remedy("noise", FLAT, sigma, sigma, seed=1).astype(float)
    assert noisy.std() == pytest.approx(sigma, rel=0.02)
    assert noisy.mean() == pytest.approx(128, abs=0.4)


def test_colors_and_images_are_grained_independently() -> None:
    noisy = apply_remedy("noise", FLAT, 12, 12, seed=1).astype(float)
    assert abs(np.corrcoef(noisy[0, ..., 0].ravel(), noisy[0, ..., 1].ravel())[0, 1]) < 0.06
    assert abs(np.corrcoef(noisy[0].ravel(), noisy[1].ravel())[0, 1]) < 0.06
