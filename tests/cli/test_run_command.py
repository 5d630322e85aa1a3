import json
from pathlib import Path

import pytest
import yaml

from pipeline.graph import STAGES
from tests.helpers.command_line import call_nightshift, draw_class_folders


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a data set and a config whose paths are relative to it."""
    folder = tmp_path / "project"
    draw_class_folders(folder / "images", {"cat": 20, "dog": 20})
    (folder / "configs").mkdir()
    (folder / "configs" / "c.yaml").write_text(
        "name: gate\nruns: ../runs\nreports: ../reports\n"
        "ingest: {data: ../images, side: 32}\ntracking: {mlflow: false}\n"
    )
    return folder


def test_paths_are_relative_to_the_config_and_not_to_the_working_directory(
    project: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    arguments = ["run", "-c", "../project/configs/c.yaml", "--to-stage", "measure"]
    result = call_nightshift(*arguments, folder=elsewhere)
    assert result.returncode == 0, result.stderr
    assert list(elsewhere.iterdir()) == []
    (run,) = (project / "runs").glob("*-gate")
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert (saved["runs"], saved["reports"]) == ("..", "../../reports")
    assert saved["ingest"]["data"] == str(project / "images")

    resumed = call_nightshift(
        "run", "--resume", str(run), "--to-stage", "measure", folder=elsewhere
    )
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stderr.count("skipped") == 2
    assert list(elsewhere.iterdir()) == []


def test_an_override_is_relative_to_the_working_directory(project: Path, tmp_path: Path) -> None:
    other_data = draw_class_folders(tmp_path / "images", {"cat": 20, "dog": 20, "fox": 20})
    arguments = ["stage", "ingest", "--run", "r", "-c", "project/configs/c.yaml"]
    result = call_nightshift(*arguments, "ingest.data=images", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    classes = json.loads((project / "runs" / "r" / "ingest" / "classes.json").read_text())
    assert classes["names"] == ["cat", "dog", "fox"]
    saved = yaml.safe_load((project / "runs" / "r" / "config.yaml").read_text())
    assert saved["ingest"]["data"] == str(other_data)


def test_a_moved_project_finds_its_folders_again(project: Path, tmp_path: Path) -> None:
    arguments = ["-c", "configs/c.yaml"]
    assert (
        call_nightshift("stage", "ingest", "--run", "r", *arguments, folder=project).returncode == 0
    )
    moved = project.rename(tmp_path / "moved")
    result = call_nightshift("stage", "ingest", "--run", "r", *arguments, folder=moved)
    assert result.returncode == 0, result.stderr
    assert "done" in result.stderr, "the images have other addresses now"
    assert not project.exists()


def test_a_stage_that_cannot_start_leaves_no_run(project: Path) -> None:
    result = call_nightshift(
        "stage", STAGES[1].name, "--run", "r", "-c", "configs/c.yaml", folder=project
    )
    assert result.returncode == 2
    assert not (project / "runs").exists()


def test_the_report_of_an_unfinished_run_says_which_stage_is_missing(project: Path) -> None:
    arguments = ["stage", "ingest", "--run", "r", "-c", "configs/c.yaml"]
    assert call_nightshift(*arguments, folder=project).returncode == 0
    result = call_nightshift("report", "r", folder=project)
    assert result.returncode == 2
    assert "run the stage" in result.stderr


def test_a_report_in_an_unknown_form_or_without_a_browser_is_bad_input(project: Path) -> None:
    arguments = ["-c", "configs/c.yaml"]
    begun = call_nightshift("stage", "ingest", "--run", "r", *arguments, folder=project)
    assert begun.returncode == 0, begun.stderr
    for options in (["--format", "docx"], ["--format", "pdf", "--browser", "no-such-browser"]):
        result = call_nightshift("report", "r", *options, folder=project)
        assert result.returncode == 2, result.stderr
    assert "no-such-browser" in result.stderr
    assert len(result.stderr.splitlines()) == 1
