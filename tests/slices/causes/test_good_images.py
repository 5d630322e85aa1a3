import numpy as np
import pytest

from pipeline import remedies
from pipeline.slices.causes.good_images import GoodImages, select_good_images
from pipeline.slices.causes.repair_test import InterventionTools
from tests.slices.conftest import draw_val


def _predict_light(pixels: np.ndarray) -> np.ndarray:
    is_lit: np.ndarray = pixels.mean((1, 2, 3)) > 60
    return is_lit.astype(np.intp)


@pytest.fixture(scope="module")
def good_images() -> GoodImages:
    drawn = draw_val()
    shape = (len(drawn.val.frame), 6, 6, 3)
    pixels = np.random.default_rng(0).integers(90, 140, shape).astype(np.uint8)
    tools = InterventionTools(
        pixels, remedies.apply_remedy, lambda images: images.mean((1, 2)), _predict_light
    )
    return select_good_images(drawn.val, ~drawn.dark, drawn.dark, tools, 100, 0)


def test_good_images_are_correct_outside_and_have_the_class_shares_of_the_slice(
    good_images: GoodImages,
) -> None:
    drawn = draw_val()
    assert 99 <= len(good_images.rows) <= 101
    assert not drawn.val.is_misclassified[good_images.rows].any()
    assert not drawn.dark[good_images.rows].any()
    slice_labels = drawn.val.labels[drawn.dark]
    slice_shares = np.bincount(slice_labels, minlength=3) / len(slice_labels)
    good_shares = np.bincount(good_images.labels, minlength=3) / len(good_images.rows)
    assert good_shares == pytest.approx(slice_shares, abs=0.02)


def test_good_images_of_an_empty_slice_are_none(good_images: GoodImages) -> None:
    outside = np.ones(len(good_images.val.frame), bool)
    empty = select_good_images(good_images.val, outside, ~outside, good_images.tools, 100, 0)
    assert empty.rows.tolist() == []


def test_a_subset_is_spread_over_groups(good_images: GoodImages) -> None:
    subset = good_images.sample_subset(20)
    assert set(subset.rows) <= set(good_images.rows)
    assert len(set(subset.groups)) == 20


def test_attributes_of_treated_images_are_measured_once(good_images: GoodImages) -> None:
    darkened = good_images.measure_treated("exposure", 0.5, 0.5)
    assert darkened.mean() < 0.8 * good_images.images.mean()
    assert good_images.measure_treated("exposure", 0.5, 0.5) is darkened


@pytest.mark.parametrize(("strength", "share"), [(0.25, 1.0), (1e-3, 0.0)])
def test_an_inverse_regains_darkened_images_but_not_black_ones(
    good_images: GoodImages, strength: float, share: float
) -> None:
    lit = GoodImages(
        good_images.val, good_images.rows[good_images.labels == 1], good_images.tools, 0
    )
    treated = lit.apply_remedy("exposure", strength, strength)
    is_broken = _predict_light(treated) != lit.labels
    assert is_broken.all()
    regained = lit.estimate_regained("exposure", treated, is_broken, strength)
    assert regained is not None
    assert regained.value == share
    assert lit.estimate_regained("noise", treated, is_broken, 12.0) is None, "no inverse"
    assert lit.estimate_regained("exposure", treated, ~is_broken, 0.25) is None, "no damage"
