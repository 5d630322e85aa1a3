"""Corrections and decline rules: pipeline/slices/comparison/correction_gains.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.slices.comparison.arm_predictions import ArmPredictor
from pipeline.slices.comparison.correction_gains import ServedDecisions, evaluate_served_decisions
from pipeline.statistics.model_comparison import ModelComparison
from tests.helpers.gate_artifacts import GateArtifacts

LIGHT = {"slice": "s1", "remedy": "exposure", "strength": 3.0, "helps": True}


@pytest.fixture
def predictor(tmp_path: Path) -> ArmPredictor:
    gate = GateArtifacts(tmp_path)
    return ArmPredictor(gate.build_inputs(), gate.make_context())


def _compare(predictor: ArmPredictor, rows: np.ndarray[Any, Any]) -> ModelComparison:
    models = [predictor.predict_baseline(rows), *predictor.predict_candidates(rows)]
    return predictor.inputs.build_comparison(rows, models, {})


def _evaluate(
    predictor: ArmPredictor, *corrections: dict[str, Any], has_test: bool = True
) -> ServedDecisions:
    policy = {"corrections": list(corrections), "decline": {"target_error": 0.2}}
    val = _compare(predictor, predictor.inputs.validation_rows)
    test = _compare(predictor, predictor.inputs.test_rows) if has_test else None
    return evaluate_served_decisions(predictor, policy, val, test)


def test_a_helpful_correction_raises_the_coverage(predictor: ArmPredictor) -> None:
    corrected = _evaluate(predictor, LIGHT).record
    plain = _evaluate(predictor).record
    by_arm = {row["arm"]: row for row in corrected["corrections"]["val"]}
    assert by_arm["before"]["helps"]
    assert by_arm["before"]["gain"]["value"] > 0.4
    assert by_arm["targeted"]["gain"]["value"] < 0.2
    coverage = [record["decline"]["before"]["coverage"] for record in (plain, corrected)]
    assert coverage[0] < coverage[1] == 1
    assert plain["corrections"]["val"] == []


def test_corrections_without_help_are_not_tried(predictor: ArmPredictor) -> None:
    record = _evaluate(predictor, {**LIGHT, "helps": False}).record
    assert record["corrections"]["val"] == []


def test_test_is_measured_only_if_it_was_opened(predictor: ArmPredictor) -> None:
    sealed = _evaluate(predictor, LIGHT, has_test=False).record
    assert sealed["corrections"]["test"] is None
    assert {rule["test"] for rule in sealed["decline"].values()} == {None}
    opened = _evaluate(predictor, LIGHT).record
    assert {row["arm"] for row in opened["corrections"]["test"]} >= {"before"}
    assert opened["decline"]["before"]["test"]["coverage"] > 0.9


def test_declined_images_follow_the_rule_of_each_arm(predictor: ArmPredictor) -> None:
    served = _evaluate(predictor)
    for arm, is_declined in served.is_declined.items():
        coverage = served.record["decline"][arm]["coverage"]
        assert is_declined.mean() == pytest.approx(1 - coverage)
