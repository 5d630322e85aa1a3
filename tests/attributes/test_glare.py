import numpy as np
import pytest

from pipeline.attributes import DecodedImage
from pipeline.attributes.glare import measure
from tests.helpers.real_windows import add_lamp, compute_rank_auc, darken, draw_windows


def test_a_lamp_separates_images_and_less_light_does_not() -> None:
    plain = draw_windows()
    assert compute_rank_auc(measure, plain, [add_lamp(image) for image in plain]) > 0.95
    assert compute_rank_auc(measure, plain, [darken(image) for image in plain]) <= 0.5


@pytest.mark.parametrize(("level", "expected"), [(0, 0), (249, 0), (250, 100), (255, 100)])
def test_counts_white_up_to_what_a_jpeg_spreads(level: int, expected: float) -> None:
    for side in (1, 9):
        pixels = np.full((side, side, 3), level, np.uint8)
        assert measure(DecodedImage(pixels, None, side, side)) == expected


def test_a_loud_color_is_no_glare() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[..., 0] = 255
    assert measure(DecodedImage(pixels, None, 8, 8)) == 0
