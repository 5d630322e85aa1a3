import numpy as np
import pytest

from pipeline.attributes import DecodedImage
from pipeline.attributes.noise_level import measure


@pytest.mark.parametrize("sigma", [2.0, 5.0, 12.0])
def test_recovers_a_planted_sigma_on_a_ramp(sigma: float) -> None:
    ramp = np.add.outer(np.arange(200) * 0.3, np.arange(200) * 0.4) + 50
    grain = np.random.default_rng(1).normal(0, sigma, (200, 200))
    pixels = np.repeat(np.clip(np.rint(ramp + grain), 0, 255)[..., None], 3, 2).astype(np.uint8)
    assert measure(DecodedImage(pixels, None, 200, 200)) == pytest.approx(sigma, rel=0.05)


def test_flat_has_none_and_too_small_is_unknown() -> None:
    assert measure(DecodedImage(np.full((9, 9, 3), 50, np.uint8), None, 9, 9)) == 0
    assert np.isnan(measure(DecodedImage(np.zeros((9, 2, 3), np.uint8), None, 2, 9)))
