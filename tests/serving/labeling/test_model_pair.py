"""Challenger and model in force: pipeline/serving/labeling/model_pair.py."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.serving.labeling.model_pair import build_model_pair
from pipeline.storage.artifact_store import hash_content

WEIGHTS = "model.safetensors"


def test_a_champion_is_compared_with_its_own_baseline(runs_folder: Path, tmp_path: Path) -> None:
    pair = build_model_pair("champion", runs_folder, tmp_path / "pair")
    run = runs_folder / "run1"
    assert hash_content(pair.challenger / WEIGHTS) == hash_content(
        run / "retrain" / "candidates" / "targeted-0.safetensors"
    )
    assert hash_content(pair.incumbent / WEIGHTS) == hash_content(run / "train/model" / WEIGHTS)
    assert (pair.run_id, pair.planned_slices) == ("run1", ("s1",))
    for bundle in (pair.challenger, pair.incumbent):
        policy = json.loads((bundle / "bundle.json").read_text())["policy"]
        assert policy["decline"]["threshold"] == 0.0


def test_another_run_is_compared_with_the_model_in_force(runs_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(runs_folder / "run1", runs_folder / "run2")
    pair = build_model_pair("run2", runs_folder, tmp_path / "pair")
    assert pair.incumbent == runs_folder / "run1" / "promote" / "bundle"


def test_a_run_without_a_targeted_model_is_refused(runs_folder: Path, tmp_path: Path) -> None:
    (runs_folder / "run1/retrain/candidates/candidates.json").write_text("[]")
    with pytest.raises(InputError, match="trained no targeted model"):
        build_model_pair("run1", runs_folder, tmp_path / "pair")
    shutil.copytree(runs_folder / "run1/promote/bundle", tmp_path / "a/b/bundle")
    with pytest.raises(InputError, match="name a run or champion"):
        build_model_pair(str(tmp_path / "a/b/bundle"), runs_folder, tmp_path / "pair")
