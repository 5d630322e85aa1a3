import numpy as np

from pipeline.remedies import treat


def test_top_and_bottom_are_exchanged(photos: np.ndarray) -> None:
    np.testing.assert_array_equal(treat("vertical_flip", photos, 1, 1, seed=1), photos[:, ::-1])
