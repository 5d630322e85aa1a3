import numpy as np
import pytest

from pipeline.attributes import measure
from pipeline.remedies import treat


def test_everything_comes_nearer_to_the_grey_of_the_fog_by_the_dose(photos: np.ndarray) -> None:
    foggy = treat("fog", photos, 0.5, 0.5, seed=1).astype(float)
    np.testing.assert_allclose(foggy - 215, (photos - 215.0) * 0.5, atol=0.5)


def test_below_zero_lifts_the_same_fog(photos: np.ndarray) -> None:
    lifted = treat("fog", treat("fog", photos, 0.5, 0.5, seed=1), -1, -1, seed=1)
    np.testing.assert_allclose(lifted.astype(int), photos, atol=1)


def test_fog_is_pale_and_low_in_contrast(photos: np.ndarray) -> None:
    before, after = measure(photos), measure(treat("fog", photos, 0.7, 0.7, seed=1))
    assert (after["luminance"] > before["luminance"] + 40).all()
    assert (after["contrast"] < 0.5 * before["contrast"]).all()


def test_fog_never_hides_everything(photos: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a share below 1"):
        treat("fog", photos, 1.0, 1.0, seed=1)
