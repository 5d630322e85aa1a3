import json
import os
from pathlib import Path

import pytest

from pipeline.cli.command_options import find_run, print_rows, resolve_run_path, resolve_runs_folder
from pipeline.contracts import InputError
from pipeline.storage.artifact_store import RunFolder


def test_a_run_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    RunFolder.open_or_create(tmp_path / "one")
    assert find_run("one", tmp_path).path == find_run(str(tmp_path / "one"), Path("elsewhere")).path
    with pytest.raises(InputError, match="no such run"):
        find_run("two", tmp_path)
    assert os.sep in str(tmp_path)


def test_an_address_is_refused_with_the_command_to_use(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^s3://gate/runs/one: download it first: nightshift runs pull s3://gate"
    ):
        find_run("s3://gate/runs/one", tmp_path)
    with pytest.raises(
        InputError, match=r"--runs: s3://gate/runs: keep runs in a local or mounted folder, and use"
    ):
        resolve_runs_folder("s3://gate/runs")
    assert resolve_runs_folder("runs") == Path("runs")


def test_rows_are_printed_as_a_table_or_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows({"any": "é"}, [], True)
    assert json.loads(capsys.readouterr().out) == {"any": "é"}
    print_rows([], [{"run": "[red]a", "state": 3}], False)
    out = capsys.readouterr().out
    assert "[red]a" in out, "names are data, not markup"
    assert "state" in out


@pytest.mark.parametrize("run", ["", ".", "..", "runs/", "runs/..", "a/.hidden", "/", " "])
def test_an_empty_or_dotted_name_is_no_run(tmp_path: Path, run: str) -> None:
    with pytest.raises(InputError, match="not the name of a run"):
        resolve_run_path(run, tmp_path)


def test_a_run_that_exists_may_end_with_a_slash(tmp_path: Path) -> None:
    RunFolder.open_or_create(tmp_path / "one")
    assert find_run(f"{tmp_path}/one/", Path("elsewhere")).run_id == "one"
