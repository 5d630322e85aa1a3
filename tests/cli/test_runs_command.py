import json
from pathlib import Path

from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.storage.artifact_store import RunFolder

RUNNER = CliRunner()


def test_a_missing_folder_has_no_runs(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["runs", "list", "--json", "--runs", str(tmp_path)])
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])
    assert "nothing to list" in RUNNER.invoke(app, ["runs", "list", "--runs", str(tmp_path)]).stdout


def test_runs_are_listed_newest_first_and_compared(tmp_path: Path) -> None:
    for name in ("20260101-000000-a", "20260102-000000-b"):
        RunFolder.open_or_create(tmp_path / name)
    listed = RUNNER.invoke(app, ["runs", "list", "--json", "--runs", str(tmp_path)])
    assert [row["run"] for row in json.loads(listed.stdout)] == [
        "20260102-000000-b",
        "20260101-000000-a",
    ]
    both = ["20260101-000000-a", "20260102-000000-b"]
    table = RUNNER.invoke(app, ["runs", "compare", *both, "--runs", str(tmp_path)]).stdout
    assert all(name in table for name in both)
    assert "0 stages done" in table
