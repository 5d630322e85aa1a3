import numpy as np
import pytest

from pipeline.attributes import DecodedImage
from pipeline.attributes.warmth import measure


@pytest.mark.parametrize(
    ("color", "expected"),
    [((90, 10, 90), 0), ((200, 50, 0), 1), ((0, 50, 200), -1), ((150, 0, 50), 0.5), ((0, 9, 0), 0)],
)
def test_plain_colors(color: tuple[int, int, int], expected: float) -> None:
    assert measure(DecodedImage(np.full((8, 8, 3), color, np.uint8), None, 8, 8)) == pytest.approx(
        expected
    )


def test_sign_follows_the_lamp(scene: np.ndarray) -> None:
    neutral = measure(DecodedImage(scene, None, 128, 96))
    lamp = np.clip(scene * np.array((1.2, 1, 0.8)), 0, 255).astype(np.uint8)
    sky = np.clip(scene * np.array((0.8, 1, 1.2)), 0, 255).astype(np.uint8)
    assert measure(DecodedImage(lamp, None, 128, 96)) > neutral + 0.1
    assert measure(DecodedImage(sky, None, 128, 96)) < neutral - 0.1
