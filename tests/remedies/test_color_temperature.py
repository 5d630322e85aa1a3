import numpy as np
import pytest

from pipeline.attributes import measure_images
from pipeline.remedies import apply_remedy

FLAT = np.full((1, 8, 8, 3), 100, np.uint8)


def test_lamp_light_is_red_and_a_cold_sky_blue_while_green_stays() -> None:
    red, green, blue = apply_remedy("color_temperature", FLAT, 200, 200, seed=1)[0, 0, 0].astype(
        float
    )
    assert red > green + 10 > blue + 40
    assert green == 100
    cold = apply_remedy("color_temperature", FLAT, -100, -100, seed=1)[0, 0, 0]
    assert cold[0] < 100 < cold[2]


def test_the_gains_are_those_of_a_black_body() -> None:
    """From 6500 K to 3500 K: Planck's law in full, at the peaks of red, green and blue."""
    waves = np.array([610e-9, 550e-9, 465e-9])
    shine = [1 / (waves**5 * np.expm1(1.438777e-2 / (waves * kelvin))) for kelvin in (3500, 6500)]
    gains = (shine[0] / shine[1]) / (shine[0] / shine[1])[1]
    shift = 1e6 / 3500 - 1e6 / 6500
    treated = apply_remedy("color_temperature", FLAT, shift, shift, seed=1)[0, 0, 0] / 100
    np.testing.assert_allclose(treated, gains ** (1 / 2.2), atol=0.03)


def test_warmer_is_measured_as_warmer(images: np.ndarray) -> None:
    warm = measure_images(apply_remedy("color_temperature", images, 120, 120, seed=1))["warmth"]
    assert (warm > measure_images(images)["warmth"] + 0.05).all()


def test_no_light_is_that_warm() -> None:
    with pytest.raises(ValueError, match="at most 600 mired"):
        apply_remedy("color_temperature", FLAT, 700, 700, seed=1)
