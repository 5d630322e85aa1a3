import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import pipeline
from pipeline.cli.app import app
from pipeline.graph import STAGES
from pipeline.learning.models.backbone import build_network, save_model
from pipeline.storage.artifact_store import RunFolder

RUNNER = CliRunner()


def _call(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli.app", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _images(root: Path, classes: dict[str, int]) -> Path:
    rng = np.random.default_rng(0)
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            cv2.imwrite(
                str(root / name / f"{i}.png"), rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
            )
    return root


def _bundle(folder: Path) -> None:
    network, meta = build_network("test_efficientnet", "none", ["a", "b"], 32, 0.0)
    save_model(folder, network, meta)
    policy = {"decline": {"threshold": 0.0}, "corrections": []}
    (folder / "bundle.json").write_text(json.dumps({**meta, "policy": policy, "slices": []}))


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, pipeline.cli.app; print([m for m in ('torch', 'numpy', 'pandas', 'pydantic') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_graph_is_printed_as_it_stands() -> None:
    result = RUNNER.invoke(app.app, ["graph", "--json"])
    assert [row["stage"] for row in json.loads(result.stdout)] == [s.name for s in STAGES]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "name a config"),
        (["run", "-c", "no.yaml"], "no.yaml: no such config file"),
        (["run", "-c", "c.yaml", "split.tran_where=x"], "did you mean split.train_where?"),
        (["run", "-c", "c.yaml"], "ingest.data"),
        (["run", "-c", "c.yaml", "--to-stage", "trian"], "'trian': no such stage"),
        (["demo", "-c", "c.yaml", "split.tran_where=x"], "did you mean split.train_where?"),
        (["run", "--resume", "nothing"], "no such run"),
        (["runs", "show", "nothing"], "no such run"),
        (["report", "nothing"], "no such run"),
        (["stage", "measure", "--run", "r", "-c", "c.yaml"], "run the stage ingest first"),
        (["init", "nowhere"], "nowhere"),
        (["runs", "promote", "nothing"], "no such run"),
        (["review", "apply", "nowhere.json"], "nowhere.json: cannot be read"),
        (["review", "apply", "c.yaml"], "save it again from the report"),
        (["runs", "forget", "nobody.jpg"], "nobody.jpg: no run knows a image"),
        (["predict", "champion", "c.yaml"], "no run has promoted a champion yet"),
        (["predict", "champion:gate", "c.yaml"], "no run of 'gate' has promoted a champion yet"),
        (["runs", "rollback"], "no run has promoted a champion yet"),
        (
            ["runs", "list", "--runs", "s3://b/runs"],
            "--runs: s3://b/runs: keep runs in a local or mounted folder",
        ),
        (
            ["run", "-c", "c.yaml", "runs=s3://b/runs"],
            "runs: s3://b/runs: keep runs in a local or mounted folder",
        ),
        (
            ["run", "--resume", "s3://b/runs/r"],
            "bring it here first: nightshift runs pull s3://b/runs/r",
        ),
        (["runs", "pull", "nowhere/r"], "nowhere/r: no pushed run is here"),
        (["runs", "push", "nothing", "s3://b/runs"], "no such run"),
        (
            ["predict", "champion", "c.yaml", "-o", "rows.txt"],
            "rows.txt: name it .jsonl, .csv or .parquet",
        ),
        (
            ["predict", "champion", "c.yaml", "-o", "rows.csv", "--watch"],
            "--watch: name one folder",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "c.yaml").write_text("ingest: {data: missing}\n")
    result = _call(*arguments, folder=tmp_path)
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("nightshift: ")]
    assert len(lines) == 1
    assert words in lines[0]
    assert "Traceback" not in result.stderr
    assert not list((tmp_path / "runs").glob("2*")), "a start that made nothing leaves no run"


def test_the_version_is_the_packages() -> None:
    assert RUNNER.invoke(app.app, ["--version"]).stdout == f"nightshift {pipeline.__version__}\n"


def test_a_run_that_is_held_is_to_be_asked_for_again(tmp_path: Path) -> None:
    """What a scheduler meets that tries again while the killed try still works."""
    (tmp_path / "c.yaml").write_text("ingest: {data: missing}\n")
    with RunFolder.open_or_create(tmp_path / "runs" / "r").hold_lock():
        result = _call("stage", STAGES[0].name, "--run", "r", "-c", "c.yaml", folder=tmp_path)
    assert result.returncode == 75
    assert "another process is at work in this run" in result.stderr.splitlines()[-1]


def test_one_class_only_is_refused_by_name(tmp_path: Path) -> None:
    _images(tmp_path / "data", {"cat": 12})
    (tmp_path / "c.yaml").write_text("ingest: {data: data, side: 32}\n")
    result = _call("run", "-c", "c.yaml", folder=tmp_path)
    assert result.returncode == 2
    assert "class" in result.stderr.splitlines()[-1]


def test_a_run_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs" / "old").mkdir(parents=True)
    (tmp_path / "runs" / "old" / "run.json").write_text('{"schema": 0, "created": "2020"}')
    result = _call("runs", "show", "old", folder=tmp_path)
    assert result.returncode == 2
    assert "another version" in result.stderr


def test_init_writes_a_config_that_runs_as_it_is_and_stage_by_stage(tmp_path: Path) -> None:
    _images(tmp_path / "data", {"cat": 30, "dog": 30})
    made = _call("init", "data", "-o", "c.yaml", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[-1] == "c.yaml"
    for name in ("ingest", "measure", "split"):
        step = _call(
            "stage", name, "--run", "first", "-c", "c.yaml", "ingest.side=32", folder=tmp_path
        )
        assert step.returncode == 0, step.stderr
    assert (tmp_path / "runs" / "first" / "split" / "stage.json").is_file()
    assert _call("init", "data", "-o", "c.yaml", folder=tmp_path).returncode == 2
    listed = _call("runs", "list", "--json", folder=tmp_path)
    assert json.loads(listed.stdout)[0]["state"] == "3 stages done"
    shown = _call("runs", "show", "first", "--json", folder=tmp_path)
    assert [row["stage"] for row in json.loads(shown.stdout)["stages"]] == [
        "ingest",
        "measure",
        "split",
    ]


def test_predict_says_how_many_it_answered_and_fails_where_it_could_read_none(
    tmp_path: Path,
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    _bundle(tmp_path / "bundle")
    _images(tmp_path / "data", {"a": 2})
    good = _call("predict", "bundle", "data", "broken.png", "-o", "rows.csv", folder=tmp_path)
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "rows.csv")
    assert "2 answered, 0 declined, 1 could not be read" in good.stderr
    assert _call("predict", "bundle", "broken.png", folder=tmp_path).returncode == 1


def _watching(folder: Path, want: int) -> None:
    """Watch until `want` rows are there, then kill without warning."""
    rows, line = (
        folder / "rows.jsonl",
        [sys.executable, "-m", "pipeline.cli.app", "predict", "bundle", "landing"],
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    process = subprocess.Popen(
        [*line, "-o", "rows.jsonl", "--watch"], cwd=folder, env=env, stderr=subprocess.DEVNULL
    )
    try:
        while process.poll() is None and (
            not rows.exists() or rows.read_bytes().count(b"\n") < want
        ):
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(180)
def test_images_that_land_are_answered_once_each_though_the_watch_is_killed_twice(
    tmp_path: Path,
) -> None:
    _bundle(tmp_path / "bundle")
    landing, rows = tmp_path / "landing", tmp_path / "rows.jsonl"
    landing.mkdir()
    for number in range(12):
        Image.new("RGB", (40, 40), (number * 20, 90, 90)).save(landing / f"{number:02d}.png")
    (landing / "05.jpg").write_bytes(b"no image")
    _watching(tmp_path, 4)
    with rows.open("ab") as file:
        file.write(b'{"path": "landing/11.p')  # torn, as a power cut leaves it
    Image.new("RGB", (40, 40), "red").save(landing / "late.png")
    _watching(tmp_path, 14)
    told = [json.loads(line) for line in rows.read_text().splitlines()]
    assert sorted(row["path"] for row in told) == sorted(
        str(image.resolve()) for image in landing.iterdir()
    )
    assert [row["path"] for row in told if row["decision"] == "error"] == [
        str(landing.resolve() / "05.jpg")
    ]
