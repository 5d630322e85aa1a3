"""Erasure of an image from two small runs: nothing of it is left, and the stages are up to date."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.contracts import (
    ArrayContract,
    InputError,
    ObjectContract,
    RecordContract,
    TableContract,
)
from pipeline.engine import runner
from pipeline.engine.image_erasure import find_images
from pipeline.graph import ARTIFACT_CONTRACTS, STAGES
from pipeline.storage import artifact_store, review_decisions
from pipeline.storage.artifact_store import RunFolder
from tests.night import config, draw


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs that share their stages, and their reports."""
    folder = tmp_path_factory.mktemp("forget")
    text = (
        config(draw(folder / "data", visits=60), folder, epochs=1)
        .replace("264", "60")
        .replace("80", "40")
    )
    (folder / "c.yaml").write_text(text)
    settings = runner.load_config(folder / "c.yaml")
    for _ in range(2):
        runner.execute_run(runner.create_run_folder(settings), settings)
    return folder


def test_nothing_of_an_erased_image_is_left_in_any_run(home: Path) -> None:
    runs = artifact_store.list_runs(home / "runs")
    before = {
        name: runs[0].load_artifact(name)
        for name in ARTIFACT_CONTRACTS
        if isinstance(ARTIFACT_CONTRACTS[name], TableContract | RecordContract)
    }
    arrays = {
        name: np.array(runs[0].load_artifact(name))
        for name in ARTIFACT_CONTRACTS
        if isinstance(ARTIFACT_CONTRACTS[name], ArrayContract)
    }
    val = before["flips"]
    victim = (
        val[val["change"] != "still right"].iloc[0]
        if (val["change"] != "still right").any()
        else val.iloc[0]
    )
    image_id = str(victim["image_id"])
    images = before["images"]
    row = int(images.index[images["image_id"] == image_id][0])
    path = str(images["path"].iloc[row])
    decision = {"image_id": image_id, "path": path, "decision": "wrong"}
    (home / "saved.json").write_text(json.dumps({"review": 1, "run_id": "r", "labels": [decision]}))
    review_decisions.apply_review_file(home / "runs", home / "saved.json")

    result = CliRunner().invoke(app, ["runs", "forget", path, "--runs", str(home / "runs")])
    assert result.exit_code == 0, result.output
    assert result.stdout.count(": 1 removed") == 2
    for run in runs:
        _assert_erased(run, image_id, path)
        assert np.array_equal(run.load_artifact("pixels"), np.delete(arrays["pixels"], row, axis=0))
        assert len(run.load_artifact("answers")) == len(arrays["answers"]) - 1
        if victim["saliency"] >= 0:
            assert not np.asarray(run.load_artifact("saliency"))[victim["saliency"]].any()
        page = home / "reports" / run.run_id / "index.html"
        assert image_id not in page.read_text(encoding="utf-8")
        assert path not in page.read_text(encoding="utf-8")
    assert review_decisions.read_decisions(home / "runs").labels == {}


def _assert_erased(run: RunFolder, image_id: str, path: str) -> None:
    for name, kind in ARTIFACT_CONTRACTS.items():
        value = run.load_artifact(name)
        if isinstance(kind, TableContract) and "image_id" in value:
            assert image_id not in set(value["image_id"].astype(str)), name
        if isinstance(kind, ObjectContract):
            assert image_id not in set(value.image_ids), name
        if isinstance(kind, RecordContract):
            assert image_id not in json.dumps(value), name
    assert (
        path
        not in pd.read_csv(run.get_artifact_path("exports") / "relabel.csv", dtype=str).to_string()
    )
    for item in STAGES:
        assert run.is_intact(item.name), item.name


def test_the_stages_are_still_up_to_date(home: Path) -> None:
    run = artifact_store.list_runs(home / "runs")[0]
    settings = runner.load_config(run.path / "config.yaml")
    for name in ("measure", "split", "probe", "explain", "compare"):
        assert runner.run_stage(run, settings, name) == "skipped", name


def test_an_unknown_image_is_an_input_error(home: Path) -> None:
    with pytest.raises(InputError, match=r"unknown\.png: no run has an image"):
        find_images(artifact_store.list_runs(home / "runs"), ["unknown.png"])
