import numpy as np

from pipeline.attributes import DecodedImage
from pipeline.attributes.subject_spread import measure
from tests.helpers.real_windows import (
    OTHER_CONDITIONS,
    compute_rank_auc,
    draw_windows,
    place_subject,
)


def test_the_size_of_the_subject_separates_images_and_its_place_does_not() -> None:
    windows = draw_windows()
    small = [place_subject(image, 0.3) for image in windows]
    large = [place_subject(image, 0.7) for image in windows]
    aside = [place_subject(image, 0.3, offset=0.6) for image in windows]
    assert compute_rank_auc(measure, small, large) > 0.9
    assert 0.3 < compute_rank_auc(measure, small, aside) < 0.7


def test_most_else_does_not_move_it() -> None:
    plain = draw_windows()
    # Bars have edges of their own.
    aucs = {
        name: compute_rank_auc(measure, plain, [plant(image) for image in plain])
        for name, plant in OTHER_CONDITIONS.items()
        if name != "barred"
    }
    assert all(0.4 < auc < 0.6 for auc in aucs.values()), aucs


def test_evenly_spread_texture_is_100() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (320, 320, 3), dtype=np.uint8)
    assert 90 < measure(DecodedImage(noise, None, 320, 320)) < 105


def test_a_image_without_edges_has_no_subject() -> None:
    for side in (1, 2, 40):
        flat = np.full((side, side, 3), 80, np.uint8)
        assert np.isnan(measure(DecodedImage(flat, None, side, side)))
