import numpy as np
import pytest

from pipeline.attributes import Shot
from pipeline.attributes.saturation import saturation


@pytest.mark.parametrize(
    ("colour", "expected"), [((90, 90, 90), 0), ((200, 0, 0), 1), ((200, 100, 100), 0.5), ((0, 0, 0), 0)]
)
def test_plain_colours(colour: tuple[int, int, int], expected: float) -> None:
    assert saturation(Shot(np.full((8, 8, 3), colour, np.uint8), None, 8, 8)) == pytest.approx(expected)


def test_less_light_leaves_it_alone(scene: np.ndarray) -> None:
    dark = np.rint(scene * 0.25).astype(np.uint8)
    assert saturation(Shot(dark, None, 128, 96)) == pytest.approx(saturation(Shot(scene, None, 128, 96)), abs=0.01)
