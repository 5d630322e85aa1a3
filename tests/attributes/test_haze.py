import numpy as np
import pytest

from pipeline.attributes import DecodedImage
from pipeline.attributes.haze import measure
from tests.helpers.real_windows import OTHER_CONDITIONS, compute_rank_auc, draw_windows


def test_fog_separates_images_and_most_else_does_not() -> None:
    plain = draw_windows()
    # Less contrast about the mean lifts the shadows as a veil does.
    aucs = {
        name: compute_rank_auc(measure, plain, [plant(image) for image in plain])
        for name, plant in OTHER_CONDITIONS.items()
        if name != "flat"
    }
    assert aucs.pop("foggy") > 0.75
    assert all(0.3 < auc < 0.7 for auc in aucs.values()), aucs


def test_follows_the_thickness_of_the_fog_and_not_the_light(scene: np.ndarray) -> None:
    values = []
    for share in (0, 0.2, 0.4, 0.6):
        foggy = np.rint(scene * (1 - share) + 215 * share).astype(np.uint8)
        values.append(measure(DecodedImage(foggy, None, 128, 96)))
    assert values == sorted(values)
    dark = np.rint(scene * 0.4).astype(np.uint8)
    assert measure(DecodedImage(dark, None, 128, 96)) == pytest.approx(values[0], abs=0.03)


@pytest.mark.parametrize(("level", "expected"), [(0, 0), (90, 1), (255, 1)])
def test_a_gray_image_is_all_haze_and_a_black_one_has_none(level: int, expected: float) -> None:
    for side in (1, 40):
        pixels = np.full((side, side, 3), level, np.uint8)
        assert measure(DecodedImage(pixels, None, side, side)) == pytest.approx(expected)
