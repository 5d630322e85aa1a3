"""Erasure of an image from two small runs: nothing of it is left, and the stages are up to date."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.contracts import (
    ArrayContract,
    InputError,
    ObjectContract,
    RecordContract,
    TableContract,
)
from pipeline.engine import image_erasure, runner
from pipeline.engine.image_erasure import erase_from_all_runs, find_images
from pipeline.graph import ARTIFACT_CONTRACTS, STAGES
from pipeline.storage import artifact_store, review_decisions
from pipeline.storage.artifact_store import RunFolder
from tests.helpers.fault_cases import IDS, PATHS, build_home, find_traces
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


def _build_home(folder: Path) -> Path:
    return build_home(folder) / "runs"


def _call(home: Path, *images: str) -> Result:
    return CliRunner().invoke(app, ["runs", "forget", *images, "--runs", str(home)])


def test_an_interrupted_erasure_is_completed_by_any_later_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = _build_home(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(image_erasure, "_renew_page", _be_killed)
        with pytest.raises(KeyboardInterrupt):
            list(erase_from_all_runs(runs, [PATHS[0]]))
    assert (runs / "forget.json").is_file()
    assert find_images([RunFolder(runs / "r2")], [PATHS[0]]).ids, "the others still have it"
    result = _call(runs)
    assert result.exit_code == 0, result.output
    assert result.stdout.count(": 1 removed") == 3
    assert find_traces(tmp_path / "home" / "runs") == []
    assert find_traces(tmp_path / "home" / "reports") == []
    assert not (runs / "forget.json").exists()
    with pytest.raises(InputError, match="no erasure was interrupted"):
        list(erase_from_all_runs(runs, []))


def _be_killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_damaged_runs_leftovers_and_pages_without_a_run_are_covered(tmp_path: Path) -> None:
    runs = _build_home(tmp_path)
    reports = runs.parent / "reports"
    (runs / "r2" / "run.json").write_text("[]")
    (runs / "r3" / "run.json").write_text('{"schema": 1}')
    (runs / "r1").rename(runs / ".pruned-r1")
    shutil.copytree(reports / "r3", reports / "r7")
    (reports / "r7" / "summary.json").write_text('{"run_id": "r7"}')
    begun = RunFolder.open_or_create(runs / "begun")
    for name in (".work-ingest-abc", ".tmp-ingest", ".old-ingest", ".work-report-abc"):
        (begun.path / name).mkdir()
        (begun.path / name / "part").write_text(PATHS[0])
    (runs / ".pull-x").mkdir()
    (runs / ".pull-x" / "part").write_text(PATHS[0])
    index = {PATHS[0]: [1, 2, "a"], PATHS[1]: [1, 2, "b"]}
    (runs / ".gate.seen.json").write_text(json.dumps(index))
    result = _call(runs, PATHS[0])
    assert result.exit_code == 0, result.output
    assert find_traces(runs) == []
    assert find_traces(reports) == []
    assert list(json.loads((runs / ".gate.seen.json").read_text())) == PATHS[1:]
    assert (runs / "r3" / "ingest" / "images.parquet").exists()


def test_what_was_not_looked_at_is_said(tmp_path: Path) -> None:
    runs = _build_home(tmp_path)
    RunFolder(runs / "r2").get_artifact_path("attributes").write_bytes(b"cut")
    result = _call(runs, PATHS[0])
    assert result.exit_code == 1
    assert "r2: not looked at: " in result.stderr
    assert "attributes.parquet" in result.stderr
    with RunFolder(runs / "r2").hold_lock():
        result = _call(runs, IDS[0])
    assert result.exit_code == 75
    assert (runs / "forget.json").is_file(), "a later call looks again"


def test_an_image_of_the_second_call_is_erased_too(tmp_path: Path) -> None:
    runs = _build_home(tmp_path)
    with RunFolder(runs / "r1").hold_lock():
        assert _call(runs, IDS[0]).exit_code == 75
    assert _call(runs, PATHS[1]).exit_code == 0
    for run in artifact_store.list_runs(runs):
        assert len(run.load_artifact("images")) == 0
