import numpy as np
import pytest

from pipeline.attributes import DecodedImage
from pipeline.attributes.luminance import measure


@pytest.mark.parametrize(
    ("color", "luma"),
    [
        ((0, 0, 0), 0),
        ((255, 255, 255), 255),
        ((255, 0, 0), 76),
        ((0, 255, 0), 150),
        ((0, 0, 255), 29),
    ],
)
def test_rec_601_of_plain_colors(color: tuple[int, int, int], luma: int) -> None:
    assert measure(DecodedImage(np.full((8, 8, 3), color, np.uint8), None, 8, 8)) == luma


def test_halving_every_value_halves_it(scene: np.ndarray) -> None:
    full = measure(DecodedImage(scene, None, 128, 96))
    assert measure(DecodedImage(scene // 2, None, 128, 96)) == pytest.approx(full / 2, abs=0.5)
