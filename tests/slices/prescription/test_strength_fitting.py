"""Fits on planted images: the slice holds images that were taken in less light."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline import remedies
from pipeline.attributes import measure_images
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.slices.prescription.strength_fitting import (
    StrengthFit,
    StrengthFitter,
    choose_fit,
    compute_ks_distance,
    fit_remedy,
    measure_tone_fit,
)
from pipeline.slices.prescription.strength_ranges import StrengthRange
from tests.slices.conftest import draw_val


def _draw_images(count: int, seed: int = 0) -> np.ndarray:
    """Return images of colored patches, uint8 [count, 24, 24, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 220, (count, 6, 6, 3)).repeat(4, 1).repeat(4, 2)
    return np.clip(coarse + rng.normal(0, 4, coarse.shape), 0, 255).astype(np.uint8)


def _measure_attributes(pixels: np.ndarray) -> np.ndarray:
    return measure_images(pixels).to_numpy(dtype=float)


def _build_tools(pixels: np.ndarray) -> InterventionTools:
    return InterventionTools(pixels, remedies.apply_remedy, _measure_attributes, None)


def _build_fitter(remedy: str, low: float, high: float) -> StrengthFitter:
    """Return a fitter of 80 images to a slice of 80 others under a treatment."""
    treated = remedies.apply_remedy(remedy, _draw_images(80, 1), low, high, 5)
    pixels = np.concatenate([_draw_images(80), treated])
    groups = (np.arange(160) // 3).astype(str)
    return StrengthFitter(
        _build_tools(pixels), np.arange(80), groups[:80], _measure_attributes(treated), groups[80:]
    )


def test_the_least_separable_remedy_is_fitted_to_the_planted_range() -> None:
    ranges = [StrengthRange("contrast", 0.1, 0.5), StrengthRange("low_light", 0.002, 0.9)]
    fit = _build_fitter("low_light", 0.15, 0.3).find_best_fit(ranges)
    assert fit is not None
    assert fit.remedy == "low_light"
    assert 0.1 <= fit.low <= 0.2
    assert 0.25 <= fit.high <= 0.42
    assert fit.auc <= 0.65


def test_a_remedy_without_ordered_strengths_keeps_its_range() -> None:
    fitter = _build_fitter("horizontal_flip", 1.0, 1.0)
    fit = fitter.find_best_fit([StrengthRange("horizontal_flip", 1.0, 1.0)])
    assert fit is not None
    assert (fit.low, fit.high) == (1.0, 1.0)
    assert fit.attribute_distance < 0.3


@pytest.mark.parametrize(
    ("remedy", "strength", "is_tonal"), [("exposure", 0.15, True), ("blur", 2.0, False)]
)
def test_tones_fit_a_slice_of_other_light_and_no_slice_of_blurred_images(
    remedy: str, strength: float, is_tonal: bool
) -> None:
    rng = np.random.default_rng(0)
    scenes = rng.normal(120, 40, (160, 24, 24, 3)) + rng.normal(0, 25, (160, 1, 1, 3))
    images = scenes.clip(0, 255).astype(np.uint8)
    treated = remedies.apply_remedy(remedy, images[80:], strength, strength, 5)
    groups = (np.arange(160) // 3).astype(str)
    values = _measure_attributes(treated)
    tools = _build_tools(np.concatenate([images[:80], treated]))
    fitter = StrengthFitter(tools, np.arange(80), groups[:80], values, groups[80:])
    assert (measure_tone_fit(fitter, treated) < 0.75) == is_tonal
    one_group = replace(fitter, slice_groups=np.full(80, "g"))
    assert measure_tone_fit(one_group, treated) == 1.0


@pytest.mark.parametrize(("first", "second"), [(0.58, 0.57), (0.57, 0.58)])
def test_of_equally_separable_fits_the_first_is_chosen(first: float, second: float) -> None:
    fits = [
        StrengthFit("gamma", 2.0, 2.0, 0.1, 0.7),
        StrengthFit("exposure", 0.2, 0.3, 0.1, first),
        StrengthFit("low_light", 0.2, 0.3, 0.1, second),
    ]
    assert choose_fit(fits) == fits[1]


def test_a_clearly_less_separable_fit_is_chosen_wherever_it_comes() -> None:
    tolerance = CONSTANTS.prescription.fit_auc_tolerance
    worse = StrengthFit("exposure", 0.2, 0.3, 0.1, 0.57 + 2 * tolerance)
    better = StrengthFit("low_light", 0.2, 0.3, 0.1, 0.57)
    assert choose_fit([worse, better]) == better
    assert choose_fit([]) is None


def test_ks_distance_compares_spread_as_well_as_location() -> None:
    rng = np.random.default_rng(0)
    narrow, wide = rng.normal(0, 1, (300, 1)), rng.normal(0, 6, (300, 1))
    assert compute_ks_distance(narrow, rng.normal(0, 1, (300, 1))) < 0.12
    assert compute_ks_distance(narrow, wide) > 0.3
    assert compute_ks_distance(narrow, narrow + 100) == 1.0
    assert compute_ks_distance(narrow, np.full((3, 1), np.nan)) == 1.0


@pytest.fixture
def val() -> ValidationSet:
    drawn = draw_val().val
    return replace(drawn, image_rows=np.arange(len(drawn.frame)))


def test_a_slice_without_training_images_of_its_classes_keeps_its_range(val: ValidationSet) -> None:
    count = len(val.frame)
    is_member = np.asarray(val.frame["label"] == "a")
    index = range(count, count + 4)
    treated = pd.DataFrame({"label": ["b"] * 4, "group": list("wxyz")}, index=index)
    tools = _build_tools(_draw_images(count + 4))
    remedy, low, high, auc, tone_auc = fit_remedy(
        val, is_member, treated, [StrengthRange("exposure", 0.2, 0.4)], tools
    )
    assert (remedy, low, high) == ("exposure", 0.2, 0.4)
    assert np.isnan([auc, tone_auc]).all()


def test_training_images_are_fitted_with_the_class_shares_of_the_slice(val: ValidationSet) -> None:
    """Training images of class b are nearly black, and would need hardly any darkening."""
    count = len(val.frame)
    is_member = np.asarray(val.frame["label"] == "a")
    labels = np.array(["a", "b"] * 60)
    groups = np.arange(120).astype(str)
    treated = pd.DataFrame({"label": labels, "group": groups}, index=range(count, count + 120))
    training = _draw_images(120, 2)
    training[labels == "b"] //= 12
    darkened = remedies.apply_remedy("exposure", _draw_images(count), 0.25, 0.25, 0)
    validation = np.where(is_member[:, None, None, None], darkened, 128).astype(np.uint8)
    tools = _build_tools(np.concatenate([validation, training]))
    remedy, low, high, auc, _ = fit_remedy(
        val, is_member, treated, [StrengthRange("exposure", 0.5, 0.5)], tools
    )
    assert remedy == "exposure"
    assert 0.18 <= low <= high <= 0.34
    assert auc <= 0.65
