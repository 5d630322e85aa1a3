import numpy as np

from pipeline.attributes import measure
from pipeline.remedies import treat


def test_low_quality_shows_its_blocks(photos: np.ndarray) -> None:
    before, after = measure(photos), measure(treat("jpeg", photos, 10, 10, seed=1))
    assert (after["blockiness"] > before["blockiness"] + 0.5).all()


def test_the_colours_are_not_exchanged() -> None:
    red = np.zeros((1, 16, 16, 3), np.uint8)
    red[..., 0] = 200
    np.testing.assert_allclose(treat("jpeg", red, 20, 20, seed=1), red, atol=12)


def test_a_range_up_to_100_still_compresses_and_draws_whole_qualities(photos: np.ndarray) -> None:
    assert (treat("jpeg", photos, 5.0, 100.0, seed=1) != photos).any()
