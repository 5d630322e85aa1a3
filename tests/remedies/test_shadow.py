import numpy as np

from pipeline.remedies import apply_remedy

FLAT = np.full((12, 64, 64, 3), 200, np.uint8)


def test_the_strength_is_the_share_of_light_removed_inside_only() -> None:
    shaded = apply_remedy("shadow", FLAT, 0.6, 0.6, seed=1)
    levels, counts = np.unique(shaded, return_counts=True)
    common = levels[counts > 0.02 * shaded.size]
    assert common[0] == 80
    assert common[-1] == 200


def test_each_image_has_a_shadow_of_its_own_that_covers_a_part() -> None:
    dark = (apply_remedy("shadow", FLAT, 0.6, 0.6, seed=1)[..., 0] < 140).mean((1, 2))
    assert len(set(dark)) > 6
    assert 0.05 < np.median(dark) < 0.8
