import cv2
import numpy as np
import pytest

from pipeline.attributes import DecodedImage
from pipeline.attributes.border_bands import measure
from tests.helpers.real_windows import OTHER_CONDITIONS, compute_rank_auc, draw_windows


def _measure(pixels: np.ndarray) -> float:
    return measure(DecodedImage(np.ascontiguousarray(pixels), None, *pixels.shape[1::-1]))


def test_bars_separate_images_and_most_else_does_not() -> None:
    plain = draw_windows()
    # A dark image has less range everywhere, so its plain sky is a band sooner.
    aucs = {
        name: compute_rank_auc(measure, plain, [plant(image) for image in plain])
        for name, plant in OTHER_CONDITIONS.items()
        if name != "dark"
    }
    assert aucs.pop("barred") > 0.9
    assert all(0.3 < auc < 0.7 for auc in aucs.values()), aucs


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("level", [0, 200])
def test_reads_the_width_of_a_band_on_each_side(scene: np.ndarray, turns: int, level: int) -> None:
    barred = np.rot90(scene[:96, :96], turns).copy()
    barred[:24] = level
    assert _measure(np.rot90(barred, turns)) == pytest.approx(25, abs=2)


def test_a_band_survives_a_jpeg(scene: np.ndarray) -> None:
    barred = scene.copy()
    barred[:24] = 0
    data = cv2.imencode(".jpg", barred, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    assert _measure(cv2.imdecode(data, cv2.IMREAD_COLOR)) == pytest.approx(25, abs=5)


def test_four_bands_count_each_pixel_once(scene: np.ndarray) -> None:
    framed = cv2.copyMakeBorder(scene[:80, :80], 10, 10, 10, 10, cv2.BORDER_CONSTANT)
    assert _measure(framed) == pytest.approx(36, abs=1)
    assert _measure(scene) == 0


def test_a_flat_image_is_one_band() -> None:
    assert _measure(np.full((1, 1, 3), 7, np.uint8)) == 100
    assert _measure(np.full((20, 30, 3), 7, np.uint8)) == 100
