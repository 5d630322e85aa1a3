"""Validation sets with a planted slice: dark images fail, and one intervention repairs them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from pipeline.domain.validation_set import ValidationSet
from tests.helpers.validation_sets import make_validation_set


@dataclass(frozen=True)
class PlantedSlice:
    val: ValidationSet
    dark: np.ndarray  # bool [rows]: the planted slice


Draw = Callable[..., PlantedSlice]


def draw_val(
    seed: int = 0, groups: int = 120, frames: int = 8, planted: bool = True
) -> PlantedSlice:
    """Return a validation set of `groups` times `frames` images with two interventions.

    A fifth of the groups is dark. If `planted`, half of the dark images are misclassified, and the
    first intervention repairs four fifths of them.
    """
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), frames)
    n = len(group)
    group_light = np.where(rng.random(groups) < 0.2, 25.0, 120.0) + rng.normal(0, 6, groups)
    light = np.repeat(group_light, frames)
    labels = np.repeat(rng.integers(0, 3, groups), frames)
    frame = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "label": np.array(["a", "b", "c"])[labels],
            "group": [f"g{g}" for g in group],
            "luminance": light + rng.normal(0, 3, n),
            "sharpness": rng.normal(0, 1, n),
            "hour": (np.where(light < 60, 23.0, 12.0) + rng.normal(0, 2, n)) % 24,
            "camera": np.where(rng.random(n) < 0.5, "north", "south"),
        }
    )
    dark = frame["luminance"].to_numpy() < 60
    background_errors = np.repeat(rng.random(groups) < 0.08, frames) & (rng.random(n) < 0.7)
    errors = background_errors | (planted & dark & (rng.random(n) < 0.5))
    margins = np.where(errors, -1.0, 1.0) * rng.gamma(2, 1, n)
    repaired = errors & (rng.random(n) < np.where(dark & planted, 0.8, 0.1))
    after_first = np.where(errors, repaired, rng.random(n) > 0.02)
    after_second = np.where(errors, rng.random(n) < 0.1, True)
    folds = (rng.permutation(groups) % 5)[group]
    val = make_validation_set(
        frame,
        labels,
        np.where(errors, (labels + 1) % 3, labels),
        "abc",
        is_correct_after=np.column_stack([after_first, after_second]),
        folds=folds,
        margins=margins,
    )
    return PlantedSlice(val, dark)


@pytest.fixture(scope="session")
def draw() -> Draw:
    return draw_val
