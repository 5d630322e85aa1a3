"""Fitting on planted images: the slice is good images taken in less light, the rest is to be made like it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline import remedies
from pipeline.attributes import measure_images
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.prescription.strength_fitting import (
    StrengthFit,
    StrengthFitter,
    StrengthRange,
    fit_remedy,
    list_nearby_strengths,
    list_strength_ranges,
    measure_attribute_distance,
)
from tests.slices.conftest import draw_val


def _images(count: int, seed: int = 0) -> np.ndarray:
    """Patches of color, uint8 [count, 24, 24, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 220, (count, 6, 6, 3)).repeat(4, 1).repeat(4, 2)
    return np.clip(coarse + rng.normal(0, 4, coarse.shape), 0, 255).astype(np.uint8)


def _tools(pixels: np.ndarray) -> InterventionTools:
    return InterventionTools(
        pixels, remedies.apply_remedy, lambda p: measure_images(p).to_numpy(dtype=float), None
    )


def _fitter(remedy: str, low: float, high: float) -> StrengthFitter:
    pixels = np.concatenate(
        [_images(80), remedies.apply_remedy(remedy, _images(80, 1), low, high, 5)]
    )
    tools = _tools(pixels)
    groups = np.array([f"g{k // 3}" for k in range(160)])
    return StrengthFitter(
        tools, np.arange(80), groups[:80], tools.measure_attributes(pixels[80:]), groups[80:]
    )


def test_of_several_remedies_the_one_that_is_hardest_to_tell_from_the_slice_is_given_at_its_doses() -> (
    None
):
    fit = _fitter("low_light", 0.15, 0.3).find_best_fit(
        [StrengthRange("contrast", 0.1, 0.5), StrengthRange("low_light", 0.002, 0.9)]
    )
    assert fit is not None
    assert fit.remedy == "low_light"
    assert 0.1 <= fit.low <= 0.2
    assert 0.25 <= fit.high <= 0.42
    assert fit.auc <= 0.65


def test_of_remedies_that_nothing_tells_apart_the_first_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = {"exposure": 0.58, "low_light": 0.57, "gamma": 0.7}
    monkeypatch.setattr(
        StrengthFitter,
        "_fit_strength_range",
        lambda self, d: StrengthFit(d.remedy, d.low, d.high, 0.1, told[d.remedy]),
    )
    fitter = StrengthFitter(
        _tools(_images(1)), np.arange(1), np.array(["g"]), np.zeros((1, 1)), np.array(["h"])
    )
    for first, other in (("exposure", "low_light"), ("low_light", "exposure")):
        fit = fitter.find_best_fit(
            [
                StrengthRange("gamma", 2, 2),
                StrengthRange(first, 0.2, 0.3),
                StrengthRange(other, 0.2, 0.3),
            ]
        )
        assert fit is not None
        assert fit.remedy == first


def test_spread_counts_as_well_as_place() -> None:
    rng = np.random.default_rng(0)
    narrow, wide = rng.normal(0, 1, (300, 1)), rng.normal(0, 6, (300, 1))
    assert (
        measure_attribute_distance(narrow, rng.normal(0, 1, (300, 1)))
        < 0.12
        < 0.3
        < measure_attribute_distance(narrow, wide)
    )


def test_doses_keep_to_the_side_of_neutral_and_to_what_a_plugin_knows() -> None:
    dark = list_nearby_strengths(StrengthRange("low_light", 0.2, 0.4))
    assert {0.2, 0.4} <= set(dark)
    assert max(dark) < 1
    assert min(list_nearby_strengths(StrengthRange("exposure", 2.0, 3.0))) > 1
    assert max(list_nearby_strengths(StrengthRange("contrast", 1.5, 2.0))) <= 10


def test_options_are_the_cause_and_its_equals_each_after_what_renders_it() -> None:
    item = SimpleNamespace(slice="s1", cause="contrast", strength_low=0.1, strength_high=0.5)
    rows = [("s1", "contrast", 0.2, False, True), ("s1", "exposure", 0.25, True, False), ("s1", "gamma", 3.0, 0, 0),
            ("s2", "noise", 20.0, False, True)]  # fmt: skip
    causes = pd.DataFrame(rows, columns=["slice", "remedy", "strength", "equivalent", "named"])
    causes = causes.astype({"equivalent": bool, "named": bool})
    asked = [
        (d.remedy, d.low) for d in list_strength_ranges(item, causes, remedies.find_training_remedy)
    ]
    assert asked == [("contrast", 0.1), ("low_light", 0.25), ("exposure", 0.25)]


@pytest.fixture
def val() -> ValidationSet:
    drawn = draw_val().val
    return replace(drawn, image_rows=np.arange(len(drawn.frame)))


def test_a_slice_without_training_images_of_its_classes_keeps_the_doses_of_its_cause(
    val: ValidationSet,
) -> None:
    n = len(val.frame)
    inside = np.asarray(val.frame["label"] == "a")
    treated = pd.DataFrame({"label": ["b"] * 4, "group": list("wxyz")}, index=range(n, n + 4))
    found = fit_remedy(
        val, inside, treated, [StrengthRange("exposure", 0.2, 0.4)], _tools(_images(n + 4))
    )
    assert found[:3] == ("exposure", 0.2, 0.4)
    assert np.isnan(found[3])


def test_images_of_a_class_are_fitted_to_images_of_that_class(val: ValidationSet) -> None:
    n = len(val.frame)
    inside = np.asarray(val.frame["label"] == "a")
    labels = np.array(["a", "b"] * 60)
    treated = pd.DataFrame(
        {"label": labels, "group": [f"t{k}" for k in range(120)]}, index=range(n, n + 120)
    )
    more = _images(120, 2)
    more[labels == "b"] //= 12  # would ask for hardly any darkening
    here = np.where(
        inside[:, None, None, None],
        remedies.apply_remedy("exposure", _images(n), 0.25, 0.25, 0),
        128,
    )
    tools = _tools(np.concatenate([here.astype(np.uint8), more]))
    remedy, low, high, told = fit_remedy(
        val, inside, treated, [StrengthRange("exposure", 0.5, 0.5)], tools
    )
    assert remedy == "exposure"
    assert 0.18 <= low <= high <= 0.34
    assert told <= 0.65
