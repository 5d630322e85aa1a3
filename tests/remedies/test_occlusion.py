import numpy as np
import pytest

from pipeline.remedies import apply_remedy


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_strength_is_the_share_of_each_side(share: float) -> None:
    busy = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    covered = (apply_remedy("occlusion", busy, share, share, seed=1) != busy).any(axis=3)
    for image in covered:
        ys, xs = np.nonzero(image)
        assert np.ptp(ys) + 1 == np.ptp(xs) + 1 == 64 * share
        assert image.sum() >= 0.99 * (64 * share) ** 2


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.02])
def test_a_patch_is_smaller_than_the_image(share: float) -> None:
    with pytest.raises(ValueError, match="covers 0 to 1"):
        apply_remedy("occlusion", np.zeros((1, 8, 8, 3), np.uint8), share, share, seed=1)


def test_places_differ_from_image_to_image() -> None:
    flat = np.full((8, 64, 64, 3), 128, np.uint8)
    covered = (apply_remedy("occlusion", flat, 0.3, 0.3, seed=1) != flat).any(axis=3)
    assert len({tuple(np.argwhere(image)[0]) for image in covered}) > 4
