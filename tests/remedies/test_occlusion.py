import numpy as np
import pytest

from pipeline.remedies import treat


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_dose_is_the_share_of_each_side(share: float) -> None:
    busy = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    covered = (treat("occlusion", busy, share, share, seed=1) != busy).any(axis=3)
    for photo in covered:
        ys, xs = np.nonzero(photo)
        assert np.ptp(ys) + 1 == np.ptp(xs) + 1 == 64 * share
        assert photo.sum() >= 0.99 * (64 * share) ** 2


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.02])
def test_a_patch_is_smaller_than_the_photo(share: float) -> None:
    with pytest.raises(ValueError, match="covers 0 to 1"):
        treat("occlusion", np.zeros((1, 8, 8, 3), np.uint8), share, share, seed=1)


def test_places_differ_from_photo_to_photo() -> None:
    flat = np.full((8, 64, 64, 3), 128, np.uint8)
    covered = (treat("occlusion", flat, 0.3, 0.3, seed=1) != flat).any(axis=3)
    assert len({tuple(np.argwhere(photo)[0]) for photo in covered}) > 4
