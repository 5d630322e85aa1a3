import numpy as np
import pytest

from pipeline.learning.models.external_model import PIXEL_SCALINGS, convert_to_logits, scale_pixels


def test_each_scaling_maps_black_and_white_to_its_own_values() -> None:
    pixels = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1).repeat(3, axis=3)
    values = {name: scale_pixels(pixels, name)[:, 0, 0, 0].tolist() for name in PIXEL_SCALINGS}
    assert values["0 to 1"] == [0, 1]
    assert values["-1 to 1"] == [-1, 1]
    assert values["0 to 255"] == pytest.approx([0, 255])
    assert values["ImageNet's mean and deviation"] == pytest.approx([-2.1179, 2.2489], abs=1e-3)


def test_probabilities_become_logits_and_logits_stay() -> None:
    logits = np.array([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]], np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.array_equal(convert_to_logits(logits), logits)
    back = convert_to_logits(shares.astype(np.float32))
    assert back - back[:, :1] == pytest.approx(logits - logits[:, :1], abs=1e-5)
