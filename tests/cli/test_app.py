import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pipeline
from pipeline.cli.app import app
from pipeline.graph import STAGES
from pipeline.storage.artifact_store import RunFolder
from tests.helpers.command_line import call_nightshift, draw_class_folders

RUNNER = CliRunner()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, pipeline.cli.app; "
        "print([m for m in ('torch', 'numpy', 'pandas', 'pydantic') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_graph_is_printed_in_its_order() -> None:
    result = RUNNER.invoke(app, ["graph", "--json"])
    assert [row["stage"] for row in json.loads(result.stdout)] == [s.name for s in STAGES]


BAD_INPUT = [
    (["run"], "name a config"),
    (["run", "-c", "no.yaml"], "no.yaml: no such config file"),
    (["run", "-c", "c.yaml", "split.tran_where=x"], "did you mean split.train_where?"),
    (["run", "-c", "c.yaml", "train.rate=1"], "train.rate was renamed: write train.learning_rate"),
    (["run", "-c", "c.yaml"], "ingest.data"),
    (["run", "-c", "c.yaml", "--to-stage", "trian"], "'trian': no such stage"),
    (["demo", "-c", "c.yaml", "split.tran_where=x"], "did you mean split.train_where?"),
    (["run", "--resume", "nothing"], "no such run"),
    (["runs", "show", "nothing"], "no such run"),
    (["report", "nothing"], "no such run"),
    (["stage", "measure", "--run", "r", "-c", "c.yaml"], "run the stage ingest first"),
    (["settings", "trian"], "'trian': no such section"),
    (["init", "nowhere"], "nowhere"),
    (["datasets", "check", "data", "max_copies=1"], "write check.max_duplicate_ratio"),
    (["predict", "champion", "c.yaml"], "no run has promoted a champion yet"),
    (["predict", "champion", "c.yaml", "-o", "rows.txt"], "name it .jsonl, .csv or .parquet"),
    (["predict", "champion", "c.yaml", "-o", "rows.csv", "--watch"], "--watch: name one folder"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD_INPUT)
def test_bad_input_is_one_line_and_exit_code_2_and_leaves_no_empty_runs(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "c.yaml").write_text("ingest: {data: missing}\n")
    result = call_nightshift(*arguments, folder=tmp_path)
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("nightshift: ")]
    assert len(lines) == 1
    assert words in lines[0]
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml"]


def test_a_failed_first_run_keeps_the_other_files_of_the_folder_of_runs(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("ingest: {data: missing}\n")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "notes.txt").write_text("mine")
    assert call_nightshift("run", "-c", "c.yaml", folder=tmp_path).returncode == 2
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["notes.txt"]


def test_the_version_is_the_packages() -> None:
    assert RUNNER.invoke(app, ["--version"]).stdout == f"nightshift {pipeline.__version__}\n"


def test_a_run_at_work_is_exit_code_75(tmp_path: Path) -> None:
    """A scheduler tries again while a killed task's process still works."""
    (tmp_path / "c.yaml").write_text("ingest: {data: missing}\n")
    with RunFolder.open_or_create(tmp_path / "runs" / "r").hold_lock():
        arguments = ["stage", STAGES[0].name, "--run", "r", "-c", "c.yaml"]
        result = call_nightshift(*arguments, folder=tmp_path)
    assert result.returncode == 75
    assert "another process is at work in this run" in result.stderr.splitlines()[-1]


def test_a_data_set_of_one_class_is_refused(tmp_path: Path) -> None:
    draw_class_folders(tmp_path / "data", {"cat": 12})
    (tmp_path / "c.yaml").write_text("ingest: {data: data, side: 32}\n")
    result = call_nightshift("run", "-c", "c.yaml", folder=tmp_path)
    assert result.returncode == 2
    assert "class" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("schema", [0, 1])
def test_a_run_of_another_version_is_refused(schema: int, tmp_path: Path) -> None:
    (tmp_path / "runs" / "old").mkdir(parents=True)
    record = {"schema": schema, "created": "2020"}
    (tmp_path / "runs" / "old" / "run.json").write_text(json.dumps(record))
    for arguments in (["runs", "show", "old"], ["run", "--resume", "old"]):
        result = call_nightshift(*arguments, folder=tmp_path)
        assert result.returncode == 2
        assert "another version" in result.stderr


COMMANDS = [
    "analyze",
    "datasets",
    "demo",
    "doctor",
    "export",
    "graph",
    "init",
    "label",
    "monitor",
    "notify",
    "predict",
    "report",
    "review",
    "run",
    "runs",
    "settings",
    "stage",
]


def test_every_command_has_one_name_and_a_help() -> None:
    names = [command.name for command in app.registered_commands]
    names += [group.name for group in app.registered_groups]
    assert sorted(map(str, names)) == COMMANDS
    for name in COMMANDS:
        result = RUNNER.invoke(app, [name, "--help"])
        assert result.exit_code == 0
        assert "Usage" in result.stdout
