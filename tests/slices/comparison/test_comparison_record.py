"""Parts of the artifact `comparison`: pipeline/slices/comparison/comparison_record.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.domain.statuses import ComparisonOutcome, OpeningReason
from pipeline.slices.comparison.arm_predictions import (
    ArmPredictor,
    find_admitted_rows,
    find_val_members,
)
from pipeline.slices.comparison.comparison_inputs import ComparisonInputs
from pipeline.slices.comparison.comparison_record import (
    OUTCOMES,
    build_split_record,
    find_sealing_reason,
    foresee_test,
    judge_val_record,
    list_power_rows,
    list_sealed_power_rows,
)
from pipeline.statistics.gains.harm_assessment import HarmMargins
from pipeline.statistics.model_comparison import ModelComparison
from tests.helpers.gate_artifacts import BAD, GateArtifacts, make_explanation


@pytest.fixture
def gate(tmp_path: Path) -> GateArtifacts:
    return GateArtifacts(tmp_path)


def _compare_on_val(gate: GateArtifacts) -> tuple[ComparisonInputs, ModelComparison]:
    inputs = gate.build_inputs()
    predictor = ArmPredictor(inputs, gate.make_context())
    rows = inputs.validation_rows
    models = [predictor.load_val_baseline(), *predictor.predict_candidates(rows)]
    return inputs, inputs.build_comparison(rows, models, find_val_members(inputs))


def _build_record(gate: GateArtifacts) -> tuple[ComparisonInputs, ModelComparison, dict[str, Any]]:
    inputs, comparison = _compare_on_val(gate)
    record = build_split_record(comparison, inputs.planned_slices, 0.05, HarmMargins())
    return inputs, comparison, judge_val_record(record, "before")


def _find_reason(gate: GateArtifacts, min_power: float = 0.5) -> OpeningReason | None:
    inputs, comparison, record = _build_record(gate)
    admitted = find_admitted_rows(inputs, inputs.test_rows, can_read_pixels=False)
    foreseen = foresee_test(inputs, comparison, record, admitted, 0.025)
    return find_sealing_reason(inputs, comparison, record, foreseen, min_power)


def test_primary_and_outside_divide_the_split(gate: GateArtifacts) -> None:
    inputs, _, record = _build_record(gate)
    assert record["primary"]["n"] == len(inputs.membership)
    assert record["primary"]["n"] + record["outside"]["n"] == record["n"]
    assert [row["planned"] for row in record["slices"]] == [True]
    assert (record["gained"], record["passed"]) == (["s1"], True)


def test_without_a_plan_there_is_no_primary_subset(gate: GateArtifacts) -> None:
    gate.artifacts["plan"] = gate.artifacts["plan"].iloc[:0]
    _, _, record = _build_record(gate)
    assert (record["primary"], record["outside"]) == (None, None)
    assert (record["gained"], record["passed"]) == ([], False)


@pytest.mark.parametrize(
    ("targeted", "reason"),
    [
        ((0.1, 0.05), None),
        (BAD, OpeningReason.NO_GAIN_ON_VAL),
        ((0.1, 0.4), OpeningReason.HARM_ON_VAL),
    ],
)
def test_the_test_is_opened_only_if_val_passed(
    gate: GateArtifacts, targeted: tuple[float, float], reason: OpeningReason | None
) -> None:
    gate.write_candidates(control=[BAD], targeted=[targeted])
    assert _find_reason(gate) == reason


def test_a_missing_step_is_the_reason(gate: GateArtifacts) -> None:
    splits = gate.artifacts["splits"]
    no_test = splits.assign(split=splits["split"].replace("test", "left_out"))
    gate.artifacts["splits"] = no_test
    assert _find_reason(gate) == OpeningReason.NO_TEST
    gate.write_candidates()
    assert _find_reason(gate) == OpeningReason.NO_CANDIDATES
    gate.artifacts["plan"] = gate.artifacts["plan"].iloc[:0]
    assert _find_reason(gate) == OpeningReason.NO_PLAN
    gate.artifacts["explanations"] = pd.DataFrame([make_explanation("s1", "not confirmed")])
    assert _find_reason(gate) == OpeningReason.NO_SLICE


def test_a_test_without_the_slice_stays_sealed_and_says_what_would_decide(
    gate: GateArtifacts,
) -> None:
    splits = gate.artifacts["splits"]
    is_dark = (gate.artifacts["attributes"]["luminance"] <= 40).to_numpy()
    is_dark_test = (splits["split"] == "test").to_numpy() & is_dark
    gate.artifacts["splits"] = splits.assign(split=splits["split"].mask(is_dark_test, "left_out"))
    inputs, comparison, record = _build_record(gate)
    admitted = find_admitted_rows(inputs, inputs.test_rows, can_read_pixels=False)
    foreseen = foresee_test(inputs, comparison, record, admitted, 0.025)
    assert foreseen is not None
    assert (foreseen["images"], foreseen["groups"], foreseen["power"]) == (0, 0, 0)
    assert 5 < foreseen["groups_needed"] < 60
    assert foreseen["val_before"] < 0.5 < foreseen["val_after"]
    assert _find_reason(gate) == OpeningReason.CANNOT_DECIDE
    assert _find_reason(gate, min_power=0.0) is None


def test_every_reason_has_an_outcome() -> None:
    assert set(OUTCOMES) == set(OpeningReason)
    assert set(OUTCOMES.values()) == set(ComparisonOutcome)


def test_power_rows_ask_about_the_whole_and_each_slice(gate: GateArtifacts) -> None:
    inputs, _, record = _build_record(gate)
    rows = list_power_rows("val", record)
    assert [(row["question"], row["slice"]) for row in rows] == [
        ("overall not worse", None),
        ("slice gain", "s1"),
    ]
    assert rows[1]["n"] == len(inputs.membership)
    questions = [row["question"] for row in list_power_rows("test", record)]
    assert questions == ["overall not worse", "planned gain", "slice gain"]


def test_needs_of_the_sealed_test_are_foreseen_from_val(gate: GateArtifacts) -> None:
    inputs, _, record = _build_record(gate)
    admitted = find_admitted_rows(inputs, inputs.test_rows, can_read_pixels=False)
    (row,) = list_sealed_power_rows(inputs, record, admitted)
    assert row["groups_needed"] == record["slices"][0]["groups_needed"]
    dark_groups = inputs.images["group"].iloc[inputs.test_rows][admitted["s1"]].nunique()
    assert (row["split"], row["groups"]) == ("test", dark_groups)
    assert row["bound"] is None
