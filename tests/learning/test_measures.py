import numpy as np
import pytest
import torch

from pipeline.attributes import measure
from pipeline.learning.measures import MEASURES
from tests.night import photo


def _photos() -> np.ndarray:
    rng = np.random.default_rng(3)
    drawn = [photo(("lying", "standing")[k % 2], k % 3 == 0, rng) for k in range(24)]
    noise = list(rng.integers(0, 256, (4, 48, 48, 3), dtype=np.uint8))
    plain = [np.full((48, 48, 3), (0, 0, 0), np.uint8), np.full((48, 48, 3), (200, 40, 90), np.uint8)]
    return np.stack([*drawn, *noise, *plain])


@pytest.mark.parametrize("name", MEASURES)
def test_it_measures_what_the_attribute_measures(name: str) -> None:
    photos = _photos()
    got = MEASURES[name](torch.from_numpy(photos).float()).numpy()
    want = measure(photos)[name].to_numpy()
    assert np.ptp(want[:24]) > 0
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_a_photo_without_edges_has_no_tilt() -> None:
    got = MEASURES["tilt"](torch.from_numpy(_photos()[-2:]).float())
    assert torch.isnan(got).all()
