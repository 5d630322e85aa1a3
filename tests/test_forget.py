"""A photo is forgotten in a whole small run: nothing of it is left, and what stands is still up to date."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pipeline import cli, runner, store
from pipeline.contracts import Array, InputError, Record, Table
from pipeline.evidence import review
from pipeline.forget import find
from pipeline.graph import ARTIFACTS, STAGES
from pipeline.store import Run
from tests.night import config, draw


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with two runs that share their stages, its reports beside it."""
    folder = tmp_path_factory.mktemp("forget")
    text = config(draw(folder / "data", visits=60), folder, epochs=1).replace("264", "60").replace("80", "40")
    (folder / "c.yaml").write_text(text)
    settings = runner.configure(folder / "c.yaml")
    for _ in range(2):
        runner.execute(runner.start(settings), settings)
    return folder


def test_nothing_of_a_forgotten_photo_is_left_in_any_run(home: Path) -> None:
    runs = store.runs(home / "runs")
    before = {name: runs[0].load(name) for name in ARTIFACTS if isinstance(ARTIFACTS[name], Table | Record)}
    arrays = {name: np.array(runs[0].load(name)) for name in ARTIFACTS if isinstance(ARTIFACTS[name], Array)}
    val = before["flips"]
    victim = val[val["change"] != "still right"].iloc[0] if (val["change"] != "still right").any() else val.iloc[0]
    image_id = str(victim["image_id"])
    images = before["images"]
    row = int(images.index[images["image_id"] == image_id][0])
    path = str(images["path"].iloc[row])
    decided = {"image_id": image_id, "path": path, "decision": "wrong"}
    (home / "saved.json").write_text(json.dumps({"review": 1, "run_id": "r", "labels": [decided]}))
    review.apply(home / "runs", home / "saved.json")

    result = CliRunner().invoke(cli.app, ["runs", "forget", path, "--runs", str(home / "runs")])
    assert result.exit_code == 0, result.output
    assert result.stdout.count(": 1 removed") == 2
    for run in runs:
        _is_gone(run, image_id, path)
        assert np.array_equal(run.load("pixels"), np.delete(arrays["pixels"], row, axis=0))
        assert len(run.load("answers")) == len(arrays["answers"]) - 1
        if victim["saliency"] >= 0:
            assert not np.asarray(run.load("saliency"))[victim["saliency"]].any()
        page = home / "reports" / run.run_id / "index.html"
        assert image_id not in page.read_text(encoding="utf-8")
        assert path not in page.read_text(encoding="utf-8")
    assert review.read(home / "runs").labels == {}


def _is_gone(run: Run, image_id: str, path: str) -> None:
    for name, kind in ARTIFACTS.items():
        value = run.load(name)
        if isinstance(kind, Table) and "image_id" in value:
            assert image_id not in set(value["image_id"].astype(str)), name
        if isinstance(kind, Record):
            assert image_id not in json.dumps(value), name
    assert path not in pd.read_csv(run.file("exports") / "relabel.csv", dtype=str).to_string()
    for item in STAGES:
        assert run.intact(item.name), item.name


def test_what_stands_is_still_taken_for_up_to_date(home: Path) -> None:
    run = store.runs(home / "runs")[0]
    settings = runner.configure(run.path / "config.yaml")
    for name in ("measure", "split", "probe", "explain", "compare"):
        assert runner.run_stage(run, settings, name) == "skipped", name


def test_an_unknown_photo_is_one_line(home: Path) -> None:
    with pytest.raises(InputError, match=r"nobody\.png: no run knows"):
        find(store.runs(home / "runs"), ["nobody.png"])
