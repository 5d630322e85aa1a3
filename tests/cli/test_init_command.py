import json
from pathlib import Path

import yaml

from tests.helpers.command_line import call_nightshift, draw_class_folders


def test_the_written_config_runs_stage_by_stage(tmp_path: Path) -> None:
    draw_class_folders(tmp_path / "data", {"cat": 30, "dog": 30})
    made = call_nightshift("init", "data", "-o", "configs/c.yaml", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[-1] == "configs/c.yaml"
    for name in ("ingest", "measure", "split"):
        arguments = ["stage", name, "--run", "first", "-c", "configs/c.yaml", "ingest.side=32"]
        step = call_nightshift(*arguments, folder=tmp_path)
        assert step.returncode == 0, step.stderr
    assert (tmp_path / "runs" / "first" / "split" / "stage.json").is_file()
    again = call_nightshift("init", "data", "-o", "configs/c.yaml", folder=tmp_path)
    assert again.returncode == 2, "an existing file is not overwritten"
    listed = call_nightshift("runs", "list", "--json", folder=tmp_path)
    assert json.loads(listed.stdout)[0]["state"] == "3 stages done"
    shown = call_nightshift("runs", "show", "first", "--json", folder=tmp_path)
    stages = [row["stage"] for row in json.loads(shown.stdout)["stages"]]
    assert stages == ["ingest", "measure", "split"]


def test_the_data_path_is_relative_to_the_config(tmp_path: Path) -> None:
    draw_class_folders(tmp_path / "data", {"cat": 2, "dog": 2})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    arguments = ["init", "../data", "-o", "configs/c.yaml"]
    assert call_nightshift(*arguments, folder=elsewhere).returncode == 0
    path = elsewhere / "configs" / "c.yaml"
    assert yaml.safe_load(path.read_text())["ingest"]["data"] == "../../data"
