import numpy as np
import pytest

from pipeline.remedies import treat


def test_a_quarter_is_anticlockwise_and_loses_no_pixel(photos: np.ndarray) -> None:
    np.testing.assert_array_equal(treat("quarter_turns", photos, 1, 1, seed=1), np.rot90(photos, 1, axes=(1, 2)))
    np.testing.assert_array_equal(treat("quarter_turns", photos, -1, -1, seed=1), np.rot90(photos, -1, axes=(1, 2)))


def test_a_part_of_a_quarter_is_a_rotation(photos: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"whole quarters, got 0\.5 to 1"):
        treat("quarter_turns", photos, 0.5, 1, seed=1)
