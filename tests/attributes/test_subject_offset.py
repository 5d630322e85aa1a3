import numpy as np
import pytest

from pipeline.attributes import DecodedImage
from pipeline.attributes.subject_offset import measure
from tests.helpers.real_windows import (
    OTHER_CONDITIONS,
    compute_rank_auc,
    draw_windows,
    place_subject,
)


def test_the_place_of_the_subject_separates_images() -> None:
    windows = draw_windows()
    centered = [place_subject(image, 0.3) for image in windows]
    aside = [place_subject(image, 0.3, offset=0.6) for image in windows]
    assert compute_rank_auc(measure, centered, aside) > 0.9


def test_most_else_does_not_move_it() -> None:
    plain = draw_windows()
    # Two equal bars have edges of their own, and draw the centroid to the center.
    aucs = {
        name: compute_rank_auc(measure, plain, [plant(image) for image in plain])
        for name, plant in OTHER_CONDITIONS.items()
        if name != "barred"
    }
    assert all(0.4 < auc < 0.6 for auc in aucs.values()), aucs


@pytest.mark.parametrize("shift", [(0, 16), (16, 0), (0, -16), (-16, 0)])
def test_is_the_distance_in_every_direction(shift: tuple[int, int]) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[28:36, 28:36] = 255
    moved = np.roll(pixels, shift, (0, 1))
    assert measure(DecodedImage(moved, None, 64, 64)) == pytest.approx(50 / 2**0.5, abs=1)


def test_a_image_without_edges_has_no_center() -> None:
    for side in (1, 2, 40):
        flat = np.full((side, side, 3), 80, np.uint8)
        assert np.isnan(measure(DecodedImage(flat, None, side, side)))
