"""Images with the brightness and colors of other images."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.statistics.tone_matching import ToneLender, ToneMethod, fit_color_transport


def _draw_scenes(count: int, seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    scenes = rng.normal(120, 30, (count, 1, 1, 3)) + rng.normal(0, 25, (count, 16, 16, 3))
    return scenes.clip(0, 255).astype(np.uint8)


def _change_camera(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images as a camera shows them that mixes the colors in linear light."""
    mixing = np.array([[0.6, 0.25, 0.0], [0.25, 0.5, 0.1], [0.0, 0.1, 0.5]])
    light = (pixels / 255) ** 2.2 @ mixing.T
    return np.asarray(255 * light ** (1 / 2.2), dtype=np.uint8)


def test_the_colors_of_another_camera_are_found_from_other_scenes() -> None:
    scenes, lending_images = _draw_scenes(40, 0), _change_camera(_draw_scenes(40, 1))
    truth = _change_camera(scenes).astype(float)
    mapped = fit_color_transport(scenes, lending_images).map_colors(scenes)
    assert mapped.dtype == np.uint8
    error = np.abs(mapped - truth).mean()
    assert error < 0.3 * np.abs(scenes - truth).mean()
    histogram = ToneLender.create(ToneMethod.HISTOGRAM, lending_images, scenes)
    assert error < 0.5 * np.abs(histogram.lend_tones(scenes, 0) - truth).mean()


@pytest.mark.parametrize("level", [0, 90, 255])
def test_images_of_one_color_have_a_transport_too(level: int) -> None:
    plain = np.full((1, 4, 4, 3), 90, np.uint8)
    lending_images = np.full((2, 4, 4, 3), level, np.uint8)
    lender = ToneLender.create(ToneMethod.TRANSPORT, lending_images, plain)
    assert np.abs(lender.lend_tones(plain, 0).astype(int) - level).max() <= 1


def test_a_histogram_comes_from_one_drawn_image() -> None:
    lending_images = np.stack([np.full((4, 4, 3), level, np.uint8) for level in (10, 200)])
    lender = ToneLender.create(ToneMethod.HISTOGRAM, lending_images, lending_images)
    toned = lender.lend_tones(np.full((50, 4, 4, 3), 90, np.uint8), 3)
    assert set(toned.mean((1, 2, 3)).tolist()) == {10.0, 200.0}
    assert np.array_equal(toned, lender.lend_tones(np.full((50, 4, 4, 3), 90, np.uint8), 3))
