from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.attributes import measure_images
from pipeline.domain.rules import Condition, Rule
from pipeline.learning.models.decision_module import (
    ContrastScaling,
    ImageResampling,
    LookupTable,
    apply_pixel_transform,
)
from pipeline.remedies import apply_remedy
from pipeline.serving.export.portable_corrections import (
    ValidationImages,
    find_equivalent_transform,
    select_portable_corrections,
)
from tests.night import image

RNG = np.random.default_rng(4)
IMAGES = np.stack([image(("lying", "standing")[k % 2], k % 3 == 0, RNG) for k in range(60)])
DARK = Condition("luminance", "<=", 45.0)


def _build_frame() -> pd.DataFrame:
    return measure_images(IMAGES).assign(hour=12.0, door="east")


@pytest.mark.parametrize(
    ("remedy", "strength", "kind"),
    [
        ("exposure", 4.0, LookupTable),
        ("gamma", 0.5, LookupTable),
        ("color_cast", 1.6, LookupTable),
        ("contrast", 2.5, ContrastScaling),
        ("rotation", -20.0, ImageResampling),
        ("zoom", 1.4, ImageResampling),
        ("horizontal_flip", 1.0, ImageResampling),
    ],
)
def test_remedy_has_an_equivalent_transform(remedy: str, strength: float, kind: type) -> None:
    transform = find_equivalent_transform(remedy, strength, IMAGES[:20])
    assert isinstance(transform, kind)
    expected = apply_remedy(remedy, IMAGES, strength, strength, seed=0)
    difference = np.abs(apply_pixel_transform(transform, IMAGES) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize(
    ("remedy", "strength"), [("noise", 12.0), ("jpeg", 10.0), ("blur", 2.0), ("occlusion", 0.3)]
)
def test_remedy_without_an_equivalent_transform_has_none(remedy: str, strength: float) -> None:
    assert find_equivalent_transform(remedy, strength, IMAGES[:20]) is None


def _describe_correction(
    *conditions: Condition, remedy: str = "exposure", frame: pd.DataFrame | None = None
) -> dict[str, Any]:
    correction = {"slice": "s1", "remedy": remedy, "strength": 2.0, "words": "in words"}
    validation_images = ValidationImages(IMAGES, _build_frame() if frame is None else frame)
    rules = {"s1": Rule(conditions, label="lying")}
    portable = select_portable_corrections([correction], rules, validation_images)
    (description,) = portable.descriptions
    assert len(portable.corrections) == int(description["is_carried"])
    assert bool(description["omission_reason"]) is not description["is_carried"]
    return description


def test_condition_on_luminance_is_carried_without_the_label() -> None:
    description = _describe_correction(DARK)
    assert description["is_carried"]
    assert description["when"] == "luminance <= 45"
    assert (description["mismatch_count"], description["image_count"]) == (0, 60)


@pytest.mark.parametrize(
    "condition",
    [
        Condition("hour", ">=", 20.0),
        Condition("door", "is", "east"),
        Condition("a1b2", "near", 0.2),
    ],
)
def test_condition_that_pixels_cannot_decide_is_omitted(condition: Condition) -> None:
    description = _describe_correction(DARK, condition)
    assert not description["is_carried"]
    assert description["mismatch_count"] is None
    assert condition.format_text() in description["omission_reason"]
    assert "luminance" not in description["omission_reason"]


def test_condition_with_other_results_on_the_models_pixels_is_omitted() -> None:
    frame = _build_frame()
    luminance = float(frame["luminance"].median())
    brighter = frame.assign(luminance=frame["luminance"] + 40)
    description = _describe_correction(Condition("luminance", "<=", luminance), frame=brighter)
    assert not description["is_carried"]
    assert description["mismatch_count"] > 3


def test_remedy_without_an_equivalent_transform_is_omitted() -> None:
    description = _describe_correction(remedy="blur")
    assert not description["is_carried"]
    assert "blur" in description["omission_reason"]


def test_policy_without_corrections_has_nothing_to_carry() -> None:
    validation_images = ValidationImages(IMAGES, pd.DataFrame(index=range(60)))
    portable = select_portable_corrections([], {}, validation_images)
    assert (portable.corrections, portable.descriptions) == ((), ())
