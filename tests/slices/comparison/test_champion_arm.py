"""The champion in force as an arm: pipeline/slices/comparison/champion_arm.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.domain.statuses import ChampionStatus
from pipeline.slices.comparison.champion_arm import ChampionArm, find_champion_arm
from pipeline.slices.tracking.slice_matching import hash_groups
from tests.helpers.gate_artifacts import CLASS_NAMES, SIDE, GateArtifacts, put_champion_in_force


@pytest.fixture
def gate(tmp_path: Path) -> GateArtifacts:
    return GateArtifacts(tmp_path / "runs")


def _find(
    gate: GateArtifacts, class_names: list[str] = CLASS_NAMES, side: int = SIDE
) -> ChampionArm:
    model = gate.artifacts["model"]
    return find_champion_arm(gate.make_context(), model, class_names, side)


def test_without_a_champion_there_is_no_arm(gate: GateArtifacts) -> None:
    arm = _find(gate)
    assert arm.build_record() == {"status": "none", "run_id": None}
    assert arm.predict(gate.artifacts["pixels"], np.arange(3), gate.make_context()) == []


def test_the_champion_of_another_run_predicts_the_same_images(gate: GateArtifacts) -> None:
    put_champion_in_force(gate, (0.0, 0.0))
    arm = _find(gate)
    assert arm.build_record() == {"status": "compared", "run_id": "old"}
    rows = np.arange(90)
    (output,) = arm.predict(gate.artifacts["pixels"], rows, gate.make_context())
    labels = gate.artifacts["images"]["label"].map({"badge": 0, "none": 1}).to_numpy()
    assert (output.logits.argmax(1) == labels[rows]).all()
    assert (output.arm, output.temperature) == ("champion", 1.5)


def test_a_champion_that_is_the_baseline_is_no_other_arm(gate: GateArtifacts) -> None:
    put_champion_in_force(gate, None)
    assert _find(gate).status == ChampionStatus.IS_BASELINE


def test_a_champion_that_cannot_be_compared_says_why(gate: GateArtifacts) -> None:
    bundle = put_champion_in_force(gate, (0.0, 0.0))
    assert _find(gate, ["badge", "none", "vest"]).status == ChampionStatus.OTHER_CLASSES
    assert _find(gate, side=SIDE // 2).status == ChampionStatus.OTHER_SIZE
    (bundle / "model.safetensors").unlink()
    assert _find(gate).status == ChampionStatus.MISSING


def test_a_champion_knows_the_validation_groups_that_it_saw(gate: GateArtifacts) -> None:
    bundle = put_champion_in_force(gate, (0.0, 0.0))
    assert not _find(gate).has_seen(np.array(["g1"]))
    meta = json.loads((bundle / "model.json").read_text())
    seen = {"seen_groups": hash_groups(["g1", "g4"]).tolist()}
    (bundle / "model.json").write_text(json.dumps(meta | seen))
    assert _find(gate).has_seen(np.array(["g0", "g4"]))
    assert not _find(gate).has_seen(np.array(["g0", "g2"]))
