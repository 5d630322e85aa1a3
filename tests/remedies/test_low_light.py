import numpy as np
import pytest

from pipeline.remedies import apply_remedy, find_training_remedy

FLAT = np.full((40, 64, 64, 3), 100, np.uint8)


def test_the_strength_is_the_gain_of_the_incoming_light() -> None:
    for strength in (0.1, 0.3, 0.6):
        dark = apply_remedy("low_light", FLAT, strength, strength, seed=1).astype(float)
        assert dark.mean() == pytest.approx(100 * strength, rel=0.05)


def test_each_image_has_a_color_cast_of_its_own_and_grain_that_grows_with_the_light() -> None:
    dark = apply_remedy("low_light", FLAT, 0.4, 0.4, seed=1).astype(float)
    casts = dark.mean((1, 2)) / dark.mean((1, 2, 3))[:, None]
    assert 0.04 < casts.std() < 0.12
    grain = dark.std((1, 2)).mean(-1)
    assert grain.min() < 1 < 2 < grain.max(), "from nearly clean to grainy"
    darker = apply_remedy("low_light", FLAT, 0.1, 0.1, seed=1).astype(float).std((1, 2)).mean(-1)
    np.testing.assert_allclose(
        darker.mean() / grain.mean(), 0.5, atol=0.12
    )  # Poisson: a quarter of the light


def test_edges_soften_and_contrast_varies_from_image_to_image() -> None:
    edge = (
        np.repeat(np.where(np.arange(64) < 32, 40, 160)[None, None, :, None], 40, 0)
        .repeat(64, 1)
        .repeat(3, 3)
    )
    profile = (
        apply_remedy("low_light", edge.astype(np.uint8), 0.5, 0.5, seed=1)
        .astype(float)
        .mean((1, 3))
    )
    depth = profile[:, -8:].mean(1) - profile[:, :8].mean(1)
    steepest = np.diff(profile, axis=1).max(1) / depth
    assert steepest.min() < 0.6 < 0.95 < steepest.max(), "from blurred to sharp"
    assert 0.75 < (depth / profile.mean(1)).min() < 1.1 < (depth / profile.mean(1)).max() < 1.4


def test_it_is_never_brighter_and_takes_the_place_of_exposure_below_neutral_only(
    images: np.ndarray,
) -> None:
    with pytest.raises(ValueError, match=r"at most 1, got 1\.5"):
        apply_remedy("low_light", images, 0.5, 1.5, seed=1)
    assert find_training_remedy("exposure", 0.2, 0.8) == "low_light"
    assert (
        find_training_remedy("exposure", 2.0, 3.0)
        == find_training_remedy("exposure", 0.5, 2.0)
        == "exposure"
    )
    assert find_training_remedy("rotation", -20, -10) == "rotation"
