import cv2
import numpy as np
import pytest

from pipeline.attributes import DecodedImage
from pipeline.attributes.blockiness import measure


def _jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(
        cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
    )


def test_rises_as_jpeg_quality_falls(scene: np.ndarray) -> None:
    values = [measure(DecodedImage(_jpeg(scene, q), None, 128, 96)) for q in (90, 20, 5)]
    assert measure(DecodedImage(scene, None, 128, 96)) == pytest.approx(1, abs=0.15)
    assert values == sorted(values)
    assert values[-1] > 2


def test_sees_blocks_in_both_directions_and_only_on_the_grid() -> None:
    rows = np.repeat(np.repeat(np.arange(8) * 20, 8)[:, None], 64, 1)
    for plane in (rows, rows.T):
        pixels = np.repeat(plane[..., None], 3, 2).astype(np.uint8)
        assert measure(DecodedImage(np.ascontiguousarray(pixels), None, 64, 64)) > 50
        shifted = np.ascontiguousarray(np.roll(pixels, (4, 4), (0, 1)))
        assert measure(DecodedImage(shifted, None, 64, 64)) < 1


def test_unknown_where_the_image_was_reduced_or_is_small(scene: np.ndarray) -> None:
    assert np.isnan(measure(DecodedImage(scene, None, 256, 192)))
    assert np.isnan(measure(DecodedImage(np.ascontiguousarray(scene[:15]), None, 128, 15)))
