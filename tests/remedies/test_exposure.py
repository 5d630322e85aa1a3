import numpy as np
import pytest

from pipeline.remedies import apply_remedy


@pytest.mark.parametrize("gain", [0.25, 0.5, 0.7, 1.5, 2.0])
def test_gain_is_exact_within_rounding(gain: float, images: np.ndarray) -> None:
    treated = apply_remedy("exposure", images, gain, gain, seed=1)
    np.testing.assert_array_equal(treated, np.rint(images * gain))


def test_four_times_clips_at_white(images: np.ndarray) -> None:
    np.testing.assert_array_equal(
        apply_remedy("exposure", images, 4, 4, seed=1), np.minimum(images.astype(int) * 4, 255)
    )


def test_draws_are_log_uniform() -> None:
    flat = np.full((600, 8, 8, 3), 100, np.uint8)
    gains = apply_remedy("exposure", flat, 0.25, 1.0, seed=2)[:, 0, 0, 0] / 100
    assert gains.min() >= 0.25
    assert gains.max() <= 1
    assert np.median(gains) == pytest.approx(
        0.5, abs=0.05
    )  # uniform draws would have their median at 0.625
