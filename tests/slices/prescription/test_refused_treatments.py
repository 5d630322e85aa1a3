"""Treatments that would change a label: pipeline/slices/prescription/refused_treatments.py."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.remedies import apply_remedy, list_interventions
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.prescription.refused_treatments import (
    find_refused_treatments,
    list_checked_strengths,
)

CLASS_NAMES = ["left", "right", "other"]
COUNT = 90


def _predict_labels(pixels: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Predict the side of the bright stripe, and the third class without one."""
    left = pixels[:, :, :4].mean((1, 2, 3))
    right = pixels[:, :, -4:].mean((1, 2, 3))
    is_striped = np.abs(left - right) > 40
    return np.where(is_striped, np.where(left > right, 0, 1), 2)


def _find(explanations: pd.DataFrame, is_usable: NDArray[np.bool_]) -> set[tuple[str, str, str]]:
    labels = np.arange(COUNT) % 3
    pixels = np.full((COUNT, 16, 16, 3), 100, np.uint8)
    pixels[labels == 0, :, :4] = 220
    pixels[labels == 1, :, -4:] = 220
    names = np.array(CLASS_NAMES)[labels]
    images = pd.DataFrame({"label": names, "group": [f"g{row}" for row in range(COUNT)]})
    pixels[~is_usable] = 100
    tools = InterventionTools(
        pixels, apply_remedy, lambda images: np.zeros((len(images), 1)), _predict_labels
    )
    refused = find_refused_treatments(
        images,
        is_usable,
        explanations,
        tools,
        class_names=CLASS_NAMES,
        images_per_class=16,
        min_share=0.5,
        seed=0,
    )
    return {(change["remedy"], change["from"], change["to"]) for change in refused}


NO_SLICE = pd.DataFrame(columns=["fitted_remedy", "fitted_low", "fitted_high"])


def test_a_flip_swaps_the_sides_and_leaves_the_third_class() -> None:
    found = _find(NO_SLICE, np.ones(COUNT, bool))
    flips = {change for change in found if change[0] == "horizontal_flip"}
    assert flips == {("horizontal_flip", "left", "right"), ("horizontal_flip", "right", "left")}


def test_only_usable_images_are_tested() -> None:
    is_usable = np.arange(COUNT) < 30
    assert _find(NO_SLICE, is_usable) >= {("horizontal_flip", "left", "right")}
    assert _find(NO_SLICE, np.zeros(COUNT, bool)) == set()


def test_the_strengths_of_the_plan_are_tested_too() -> None:
    plan = pd.DataFrame({"fitted_remedy": ["rotation"], "fitted_low": 38.0, "fitted_high": 47.0})
    probed = [strength for remedy, strength in list_interventions() if remedy == "rotation"]
    strengths = list_checked_strengths(plan)
    assert strengths["rotation"] == sorted({*probed, 38.0, 47.0})
    assert list_checked_strengths(NO_SLICE)["rotation"] == sorted(probed)
    assert "exposure" not in strengths, "light changes no label"
