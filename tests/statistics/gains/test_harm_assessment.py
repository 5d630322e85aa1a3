"""Who loses by an exchange of models: pipeline/statistics/gains/harm_assessment.py."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.contracts import RecordContract
from pipeline.statistics.gains.harm_assessment import (
    HarmMargins,
    ModelPair,
    SafetyResult,
    assess_changes,
    assess_safety,
    list_class_subsets,
)

GROUPS = np.repeat(np.arange(120), 4)
LABELS = np.where(GROUPS % 2 == 0, "badge", "none")
INSIDE = GROUPS < 60


def _assess(slice_losses: dict[str, float], margins: HarmMargins | None = None) -> SafetyResult:
    """Return the safety of a model that gains or loses these shares of a class in the slice."""
    rng = np.random.default_rng(1)
    reference = (rng.random(480) < 0.7).astype(float)
    treated = reference.copy()
    for name, change in slice_losses.items():
        inside = INSIDE & (name == LABELS) & (reference == (0.0 if change > 0 else 1.0))
        share = abs(change) / (0.3 if change > 0 else 0.7)
        treated[inside & (rng.random(480) < share)] = float(change > 0)
    pair = ModelPair(treated[None], reference[None], GROUPS)
    return assess_safety(
        (pair, pair), LABELS, ({"s1": INSIDE}, {"s1": INSIDE}), ~INSIDE, margins or HarmMargins()
    )


def test_a_trade_within_a_slice_is_seen_though_the_slice_gains() -> None:
    result = _assess({"badge": -0.15, "none": 0.25})
    assert result.slices[0].status == "not worse"
    by_class = {change.subset.class_name: change for change in result.slice_classes}
    assert by_class["badge"].status == "harmed"
    assert by_class["none"].status == "not worse"
    assert not result.is_screened


def test_a_gain_of_both_classes_harms_nobody() -> None:
    result = _assess({"badge": 0.15, "none": 0.15})
    assert result.is_overall_safe
    assert result.is_screened
    assert result.outside is not None
    assert result.outside.loss_probability < 0.05
    RecordContract(("overall", "slice_classes")).check_value("safety", result.build_record(), {})


def test_an_overall_loss_is_refused() -> None:
    result = _assess({"badge": -0.3, "none": -0.3})
    assert not result.is_overall_safe
    assert not result.is_screened


def test_the_accepted_probability_decides() -> None:
    loss = {"badge": -0.05, "none": 0.1}
    strict = _assess(loss, HarmMargins(max_loss_probability=0.01))
    lenient = _assess(loss, HarmMargins(max_loss_probability=0.99))
    assert not strict.is_screened
    assert lenient.is_screened


def test_a_class_of_one_group_gets_a_probability_too() -> None:
    labels = np.where(GROUPS == 3, "rare", LABELS)
    pair = ModelPair(np.ones((1, 480)), np.ones((1, 480)), GROUPS)
    changes = assess_changes(pair, list_class_subsets(labels), 0.03, 0.5)
    rare = next(change for change in changes if change.subset.class_name == "rare")
    assert rare.groups == 1
    assert 0 < rare.loss_probability < 0.5


def test_subsets_without_an_image_are_left_out() -> None:
    pair = ModelPair(np.ones((1, 480)), np.ones((1, 480)), GROUPS)
    masks = {"s1": np.zeros(480, dtype=bool)}
    result = assess_safety((pair, pair), LABELS, (masks, masks), None, HarmMargins())
    assert result.slices == []
    assert result.slice_classes == []
    assert result.overall_gain.mean == pytest.approx(0)


def test_a_slice_of_one_class_must_not_cost_another_class_under_its_condition() -> None:
    is_badge = LABELS == "badge"
    reference = np.ones((1, 480))
    reference[:, INSIDE & ~is_badge] = 0
    treated = np.ones((1, 480))
    treated[:, INSIDE & is_badge] = 0
    pair = ModelPair(treated, reference, GROUPS)
    of_one_class, of_all = {"s1": INSIDE & ~is_badge}, {"s1": INSIDE}
    names = []
    for condition in (of_one_class, of_all):
        result = assess_safety((pair, pair), LABELS, (of_one_class, condition), None)
        harmed = [change for change in result.slice_classes if change.loss_probability > 0.5]
        names.append([change.subset.class_name for change in harmed])
    assert names == [[], ["badge"]]
