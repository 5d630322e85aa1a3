import numpy as np

from pipeline.remedies import apply_remedy


def test_left_and_right_are_exchanged(images: np.ndarray) -> None:
    np.testing.assert_array_equal(
        apply_remedy("horizontal_flip", images, 1, 1, seed=1), images[:, :, ::-1]
    )
