import cv2
import numpy as np
import pytest

from pipeline.statistics.spectral_residual import MAP_SIDE, compute_saliency


@pytest.mark.parametrize("place", [(20, 30), (90, 100), (60, 64)])
def test_a_spot_on_a_texture_stands_out(place: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.normal(100, 40, (128, 128)), (0, 0), 1.5)
    image = np.clip(texture, 0, 255).astype(np.uint8)
    cv2.circle(image, place, 7, 250, -1)
    saliency = compute_saliency(image)
    y, x = np.unravel_index(saliency.argmax(), saliency.shape)
    scale = 128 / MAP_SIDE
    assert np.hypot(x * scale - place[0], y * scale - place[1]) < 14


def test_it_adds_up_to_one_for_any_image() -> None:
    for shape in ((1, 1), (200, 3), (64, 64)):
        for level in (0, 255):
            saliency = compute_saliency(np.full(shape, level, np.uint8))
            assert np.isfinite(saliency).all()
            assert saliency.sum() == pytest.approx(1, abs=1e-3)
