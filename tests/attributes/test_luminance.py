import numpy as np
import pytest

from pipeline.attributes import Shot
from pipeline.attributes.luminance import luminance


@pytest.mark.parametrize(
    ("colour", "luma"),
    [((0, 0, 0), 0), ((255, 255, 255), 255), ((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)],
)
def test_rec_601_of_plain_colours(colour: tuple[int, int, int], luma: int) -> None:
    assert luminance(Shot(np.full((8, 8, 3), colour, np.uint8), None, 8, 8)) == luma


def test_halving_every_value_halves_it(scene: np.ndarray) -> None:
    full = luminance(Shot(scene, None, 128, 96))
    assert luminance(Shot(scene // 2, None, 128, 96)) == pytest.approx(full / 2, abs=0.5)
