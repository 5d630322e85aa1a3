import numpy as np
import pytest

from pipeline.attributes import DecodedImage
from pipeline.attributes.saturation import measure


@pytest.mark.parametrize(
    ("color", "expected"),
    [((90, 90, 90), 0), ((200, 0, 0), 1), ((200, 100, 100), 0.5), ((0, 0, 0), 0)],
)
def test_plain_colors(color: tuple[int, int, int], expected: float) -> None:
    assert measure(DecodedImage(np.full((8, 8, 3), color, np.uint8), None, 8, 8)) == pytest.approx(
        expected
    )


def test_less_light_leaves_it_alone(scene: np.ndarray) -> None:
    dark = np.rint(scene * 0.25).astype(np.uint8)
    assert measure(DecodedImage(dark, None, 128, 96)) == pytest.approx(
        measure(DecodedImage(scene, None, 128, 96)), abs=0.01
    )
