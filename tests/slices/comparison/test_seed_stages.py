"""Whether validation may still pass: pipeline/slices/comparison/seed_stages.py."""

import numpy as np
import pandas as pd
import pytest

from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.comparison.seed_stages import FUTILE_POWER, forecast_validation
from tests.helpers.validation_sets import make_validation_set

GROUPS = np.arange(120) // 2
IS_DARK, IS_TILTED = np.arange(120) < 60, np.arange(120) >= 80
LABELS = np.where(np.arange(120) % 10 == 0, 1, 0)  # one in ten


@pytest.fixture
def val() -> ValidationSet:
    frame = pd.DataFrame(
        {
            "image_id": [f"i{row}" for row in range(120)],
            "label": np.array(["badge", "no_badge"])[LABELS],
            "group": [f"g{group}" for group in GROUPS],
        }
    )
    return make_validation_set(frame, LABELS, LABELS, ["badge", "no_badge"])


def _forecast(val: ValidationSet, targeted: np.ndarray, control: np.ndarray) -> float:
    arms = [np.tile(arm.astype(float), (2, 1)) for arm in (targeted, control)]
    return forecast_validation(val, [IS_DARK, IS_TILTED], arms[0], arms[1], 3)


def test_one_slice_that_gains_is_enough(val: ValidationSet) -> None:
    nothing = np.zeros(120)
    assert _forecast(val, nothing, nothing) < FUTILE_POWER
    assert _forecast(val, np.where(IS_TILTED, 1, 0), nothing) > 0.9
    assert _forecast(val, np.where(IS_DARK | IS_TILTED, 0, 1), nothing) < FUTILE_POWER


def test_each_class_counts_alike(val: ValidationSet) -> None:
    """The rare class loses as much as the frequent one gains."""
    control = LABELS == 1
    assert _forecast(val, 1 - control, control) < FUTILE_POWER < 0.9
    assert _forecast(val, np.ones(120), control) > 0.9


def test_without_an_image_of_a_planned_slice_nothing_can_be_gained(val: ValidationSet) -> None:
    arms = np.ones((2, 120)), np.zeros((2, 120))
    assert forecast_validation(val, [np.zeros(120, dtype=bool)], *arms, 3) == 0.0
    assert forecast_validation(val, [], *arms, 3) == 0.0
