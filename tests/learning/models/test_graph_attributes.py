import numpy as np
import pytest
import torch

from pipeline.attributes import measure_images
from pipeline.learning.models.graph_attributes import ATTRIBUTE_FUNCTIONS
from tests.night import image


def _images() -> np.ndarray:
    rng = np.random.default_rng(3)
    drawn = [image(("lying", "standing")[k % 2], k % 3 == 0, rng) for k in range(24)]
    noise = list(rng.integers(0, 256, (4, 48, 48, 3), dtype=np.uint8))
    plain = [
        np.full((48, 48, 3), (0, 0, 0), np.uint8),
        np.full((48, 48, 3), (200, 40, 90), np.uint8),
    ]
    return np.stack([*drawn, *noise, *plain])


@pytest.mark.parametrize("name", ATTRIBUTE_FUNCTIONS)
def test_it_measures_what_the_attribute_measures(name: str) -> None:
    images = _images()
    got = ATTRIBUTE_FUNCTIONS[name](torch.from_numpy(images).float()).numpy()
    want = measure_images(images)[name].to_numpy()
    assert np.ptp(want[:24]) > 0
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_a_image_without_edges_has_no_tilt() -> None:
    got = ATTRIBUTE_FUNCTIONS["tilt"](torch.from_numpy(_images()[-2:]).float())
    assert torch.isnan(got).all()
