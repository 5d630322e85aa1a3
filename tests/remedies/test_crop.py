import numpy as np
import pytest

from pipeline.remedies import apply_remedy

RAMP = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8)[None, None, :, None], (40, 64, 64, 3))


def test_the_strength_is_the_share_of_each_side_that_is_cut_off() -> None:
    kept = apply_remedy("crop", RAMP, 0.25, 0.25, seed=1)[:, 30, :, 0].astype(float)
    np.testing.assert_allclose((kept[:, -1] - kept[:, 0]) / 252, 0.75, atol=0.02)


def test_the_part_that_is_kept_lies_anywhere() -> None:
    left = apply_remedy("crop", RAMP, 0.25, 0.25, seed=1)[:, 30, 0, 0] / 252
    assert left.min() < 0.05
    assert left.max() > 0.2
    assert left.max() <= 0.26


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_crop_leaves_something(share: float) -> None:
    with pytest.raises(ValueError, match="a crop takes 0 to 1"):
        apply_remedy("crop", RAMP[:1], share, share, seed=1)
