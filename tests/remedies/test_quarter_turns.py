import numpy as np
import pytest

from pipeline.remedies import apply_remedy


def test_a_quarter_is_anticlockwise_and_loses_no_pixel(images: np.ndarray) -> None:
    np.testing.assert_array_equal(
        apply_remedy("quarter_turns", images, 1, 1, seed=1), np.rot90(images, 1, axes=(1, 2))
    )
    np.testing.assert_array_equal(
        apply_remedy("quarter_turns", images, -1, -1, seed=1), np.rot90(images, -1, axes=(1, 2))
    )


def test_a_part_of_a_quarter_is_a_rotation(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"whole quarters, got 0\.5 to 1"):
        apply_remedy("quarter_turns", images, 0.5, 1, seed=1)
