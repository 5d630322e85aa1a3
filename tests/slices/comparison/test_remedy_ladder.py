"""What each step of the remedy added: pipeline/slices/comparison/remedy_ladder.py."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import RecordContract
from pipeline.domain.statuses import LadderStep
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.comparison.remedy_ladder import StepOutcome, build_ladder
from tests.helpers.validation_sets import make_validation_set

COUNT = 400
GROUPS = np.arange(COUNT) // 4
LABELS = np.where(GROUPS % 4 == 0, 1, 0)
IS_DARK = GROUPS % 2 == 0


@pytest.fixture
def val() -> ValidationSet:
    """Return a validation set of which every dark image is misclassified."""
    frame = pd.DataFrame(
        {
            "image_id": [f"i{row}" for row in range(COUNT)],
            "label": np.array(["a", "b"])[LABELS],
            "group": [f"g{group}" for group in GROUPS],
        }
    )
    return make_validation_set(frame, LABELS, np.where(IS_DARK, 1 - LABELS, LABELS))


def test_each_step_is_compared_with_the_model_before_and_the_step_before(
    val: ValidationSet,
) -> None:
    half = np.where(IS_DARK, GROUPS % 8 < 4, 1.0)
    steps = [
        StepOutcome(LadderStep.REAL_IMAGES, np.stack([half, half])),
        StepOutcome(LadderStep.INTERPOLATION, np.ones((1, COUNT)), 0.4),
    ]
    first, second = build_ladder(val, steps, IS_DARK)
    assert (first["step"], second["share"]) == ("real images", 0.4)
    assert first["slices"]["gain"] == first["slices"]["added"]
    assert first["slices"]["gain"]["mean"] == pytest.approx(0.5, abs=0.05)
    assert first["slices"]["gain"]["seeds"] == 2
    assert second["slices"]["gain"]["mean"] == pytest.approx(1)
    assert second["slices"]["added"]["mean"] == pytest.approx(0.5, abs=0.05)
    assert second["slices"]["added"]["low"] > 0.2
    assert first["outside"]["gain"]["mean"] == 0
    assert (second["slices"]["n"], second["outside"]["n"]) == (200, 200)
    RecordContract(()).check_value("ladder", {"steps": [first, second]}, {})


def test_in_the_slices_every_class_counts_alike(val: ValidationSet) -> None:
    only_one_class = np.where(IS_DARK & (LABELS == 1), 1.0, 0.0)
    is_rare = IS_DARK & ((LABELS == 1) | (GROUPS % 12 == 2))
    (record,) = build_ladder(val, [StepOutcome(LadderStep.AVERAGE, only_one_class[None])], is_rare)
    assert record["slices"]["value"] == pytest.approx(0.5)


def test_an_empty_part_has_no_figures(val: ValidationSet) -> None:
    everything = np.ones(COUNT, dtype=bool)
    (record,) = build_ladder(
        val, [StepOutcome(LadderStep.AVERAGE, np.ones((1, COUNT)))], everything
    )
    assert record["outside"] is None
    assert record["slices"]["n"] == COUNT
