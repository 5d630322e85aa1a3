import numpy as np
import pytest

from pipeline.attributes import measure
from pipeline.remedies import treat


@pytest.mark.parametrize("ratio", [0.6, 1.6])
def test_dose_is_the_ratio_of_red_to_blue(ratio: float, photos: np.ndarray) -> None:
    treated = treat("colour_cast", photos, ratio, ratio, seed=1)
    change = treated.mean(axis=(1, 2)) / photos.mean(axis=(1, 2))
    np.testing.assert_allclose(change[:, 0] / change[:, 2], ratio, rtol=0.01)
    np.testing.assert_allclose(change[:, 1], 1)


def test_above_one_is_warmer(photos: np.ndarray) -> None:
    assert (measure(treat("colour_cast", photos, 1.6, 1.6, seed=1))["warmth"] > measure(photos)["warmth"] + 0.1).all()
