import numpy as np

from pipeline.remedies import apply_remedy


def test_exponent_is_exact_within_rounding_and_keeps_black_and_white() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    for exponent in (0.5, 2.0):
        treated = apply_remedy("gamma", ramp, exponent, exponent, seed=1)
        np.testing.assert_array_equal(treated, np.rint(255 * (ramp / 255) ** exponent))
        assert treated.min() == 0
        assert treated.max() == 255
