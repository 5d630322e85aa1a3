"""Choice of the plan to train: pipeline/slices/prescription/plan_choice.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.slices.prescription.plan_choice import PlanChoice, choose_plan
from tests.helpers.validation_sets import make_validation_set

COUNT = 60
PLAN = pd.DataFrame({"slice": ["s1", "s2"], "image_id": ["t0", "t1"], "probability": 0.25})
EFFECTS = pd.Series({"s1": 0.3, "s2": 0.01})
MEMBERSHIP = pd.DataFrame({"slice": "s1", "image_id": [f"i{row}" for row in range(20)]})


def _choose(helpful_slice: str | None) -> tuple[PlanChoice, list[set[str]]]:
    """Choose a plan if every plan with one slice predicts all images correctly."""
    ids = [f"i{row}" for row in range(COUNT)]
    frame = pd.DataFrame({"image_id": ids, "label": "a", "group": ids})
    labels = np.zeros(COUNT, np.intp)
    val = make_validation_set(frame, labels, labels)
    tried: list[set[str]] = []

    def evaluate_plans(plans: Sequence[pd.DataFrame]) -> NDArray[np.intp]:
        predictions = []
        for plan in plans:
            tried.append(set(plan["slice"]))
            is_helpful = helpful_slice in tried[-1]
            predictions.append(labels if is_helpful else labels + 1)
        return np.stack(predictions)

    choice = choose_plan(PLAN, EFFECTS, 3, evaluate_plans, val=val, membership=MEMBERSHIP)
    return choice, tried


def test_the_simplest_plan_that_is_as_good_is_chosen() -> None:
    choice, tried = _choose("s1")
    assert tried == [set(), {"s1"}, {"s1", "s2"}, {"s1", "s2"}]
    assert [row["chosen"] for row in choice.tried] == [True, False, False]
    assert choice.plan["slice"].tolist() == ["s1"]
    assert choice.tried[0]["slices"] == ["s1"]
    assert [row["gain"] for row in choice.tried] == [1.0, 1.0, 1.0]


def test_a_plan_that_adds_the_helpful_slice_is_chosen() -> None:
    choice, _ = _choose("s2")
    assert [row["chosen"] for row in choice.tried] == [False, True, False]
    assert set(choice.plan["slice"]) == {"s1", "s2"}


@pytest.mark.parametrize("helpful_slice", [None, "s9"])
def test_no_plan_is_chosen_if_none_helps(helpful_slice: str | None) -> None:
    choice, _ = _choose(helpful_slice)
    assert choice.plan.empty
    assert not any(row["chosen"] for row in choice.tried)
