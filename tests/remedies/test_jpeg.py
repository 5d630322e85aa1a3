import numpy as np

from pipeline.attributes import measure_images
from pipeline.remedies import apply_remedy


def test_low_quality_shows_its_blocks(images: np.ndarray) -> None:
    before = measure_images(images)
    after = measure_images(apply_remedy("jpeg", images, 10, 10, seed=1))
    assert (after["blockiness"] > before["blockiness"] + 0.5).all()


def test_the_colors_are_not_exchanged() -> None:
    red = np.zeros((1, 16, 16, 3), np.uint8)
    red[..., 0] = 200
    np.testing.assert_allclose(apply_remedy("jpeg", red, 20, 20, seed=1), red, atol=12)


def test_a_range_up_to_100_still_compresses_and_draws_whole_qualities(images: np.ndarray) -> None:
    assert (apply_remedy("jpeg", images, 5.0, 100.0, seed=1) != images).any()
