"""Predictions of the arms: pipeline/slices/comparison/arm_predictions.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.slices.comparison import arm_predictions
from pipeline.slices.comparison.arm_predictions import (
    ArmPredictor,
    find_admitted_rows,
    find_val_members,
)
from tests.helpers.gate_artifacts import BAD, DARK_RULE, GOOD, GateArtifacts


@pytest.fixture
def gate(tmp_path: Path) -> GateArtifacts:
    return GateArtifacts(tmp_path)


@pytest.fixture
def predictor(gate: GateArtifacts) -> ArmPredictor:
    gate.write_candidates(control=[BAD, BAD], targeted=[GOOD, (0.0, 0.0)])
    return ArmPredictor(gate.build_inputs(), gate.make_context())


def test_the_baseline_predicts_as_evaluate_did(predictor: ArmPredictor) -> None:
    loaded = predictor.load_val_baseline()
    predicted = predictor.predict_baseline(predictor.inputs.validation_rows)
    np.testing.assert_allclose(loaded.logits, predicted.logits, atol=1e-6)
    assert (loaded.arm, loaded.seed, loaded.temperature) == ("before", None, 1.5)


def test_candidates_come_in_training_order_with_their_temperatures(predictor: ArmPredictor) -> None:
    rows = predictor.inputs.test_rows
    outputs = predictor.predict_candidates(rows)
    assert [(output.arm, output.seed) for output in outputs] == [
        ("control", 0),
        ("control", 1),
        ("targeted", 0),
        ("targeted", 1),
    ]
    assert {output.temperature for output in outputs} == {2.0}
    labels = predictor.inputs.images["label"].map({"badge": 0, "none": 1}).to_numpy()[rows]
    error_rates = [(output.logits.argmax(1) != labels).mean() for output in outputs]
    assert error_rates[0] > error_rates[2] > error_rates[3] == 0


def test_chunks_change_nothing(predictor: ArmPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = predictor.inputs.test_rows
    whole = predictor.predict_baseline(rows).logits
    monkeypatch.setattr(arm_predictions, "IMAGES_PER_CHUNK", 7)
    np.testing.assert_allclose(predictor.predict_baseline(rows).logits, whole, atol=1e-6)


def test_a_correction_is_applied_before_the_first_seed_predicts(predictor: ArmPredictor) -> None:
    inputs = predictor.inputs
    is_dark = (inputs.attributes["luminance"] <= 40).to_numpy()
    rows = inputs.test_rows[is_dark[inputs.test_rows]]
    correction = {"remedy": "exposure", "strength": 3.0}
    labels = inputs.images["label"].map({"badge": 0, "none": 1}).to_numpy()[rows]
    before = (predictor.predict_baseline(rows).logits.argmax(1) == labels).mean()
    after = (predictor.predict_corrected("before", correction, rows).argmax(1) == labels).mean()
    assert after > before + 0.3
    targeted = predictor.predict_corrected("targeted", {**correction, "strength": 1.0}, rows)
    first_seed = predictor.predict_candidates(rows)[2]
    np.testing.assert_allclose(targeted, first_seed.logits, atol=1e-6)


def test_members_of_val_are_those_of_cluster(predictor: ArmPredictor) -> None:
    members = find_val_members(predictor.inputs)
    assert list(members) == ["s1"]
    assert members["s1"].sum() == len(predictor.inputs.membership)


def test_a_rule_on_metadata_admits_rows_of_the_sealed_test(gate: GateArtifacts) -> None:
    pixels = gate.watch_pixels()
    inputs = gate.build_inputs()
    admitted = find_admitted_rows(inputs, inputs.test_rows, can_read_pixels=False)
    is_dark = (inputs.attributes["luminance"] <= 40).to_numpy()[inputs.test_rows]
    assert (admitted["s1"] == is_dark).all()
    assert not pixels.reads


def test_the_class_of_a_rule_counts_if_labels_are_known(gate: GateArtifacts) -> None:
    rule = Rule(DARK_RULE.conditions, "badge")
    gate.artifacts["explanations"]["frozen"] = rule.dump_json()
    inputs = gate.build_inputs()
    rows = inputs.test_rows
    with_label = find_admitted_rows(inputs, rows, can_read_pixels=True)["s1"]
    without = find_admitted_rows(inputs, rows, can_read_pixels=True, should_use_label=False)["s1"]
    is_badge = (inputs.images["label"] == "badge").to_numpy()[rows]
    assert (with_label == (without & is_badge)).all()
    assert without.sum() > with_label.sum() > 0


def test_a_rule_on_looks_needs_the_pixels(gate: GateArtifacts) -> None:
    reference = gate.artifacts["membership"]["image_id"].iloc[0]
    rule = Rule((Condition(str(reference), "near", 0.2),))
    gate.artifacts["explanations"]["frozen"] = rule.dump_json()
    inputs = gate.build_inputs()
    rows = inputs.test_rows[:20]
    assert find_admitted_rows(inputs, rows, can_read_pixels=False) == {}
    reference_row = np.flatnonzero(inputs.images["image_id"] == reference)
    admitted = find_admitted_rows(
        inputs, np.concatenate([reference_row, rows]), can_read_pixels=True
    )
    assert admitted["s1"][0], "an image is near itself"
