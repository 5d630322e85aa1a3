import numpy as np
import pytest

from pipeline.attributes import Shot
from pipeline.attributes.warmth import warmth


@pytest.mark.parametrize(
    ("colour", "expected"),
    [((90, 10, 90), 0), ((200, 50, 0), 1), ((0, 50, 200), -1), ((150, 0, 50), 0.5), ((0, 9, 0), 0)],
)
def test_plain_colours(colour: tuple[int, int, int], expected: float) -> None:
    assert warmth(Shot(np.full((8, 8, 3), colour, np.uint8), None, 8, 8)) == pytest.approx(expected)


def test_sign_follows_the_lamp(scene: np.ndarray) -> None:
    neutral = warmth(Shot(scene, None, 128, 96))
    lamp, sky = (np.clip(scene * np.array(g), 0, 255).astype(np.uint8) for g in ((1.2, 1, 0.8), (0.8, 1, 1.2)))
    assert warmth(Shot(lamp, None, 128, 96)) > neutral + 0.1
    assert warmth(Shot(sky, None, 128, 96)) < neutral - 0.1
