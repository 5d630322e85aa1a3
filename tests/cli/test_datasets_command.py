import json
from pathlib import Path

from typer.testing import CliRunner

from pipeline import plugins
from pipeline.cli.app import app
from tests.helpers.command_line import draw_class_folders

RUNNER = CliRunner()


def test_every_format_is_listed_with_a_description() -> None:
    rows = json.loads(RUNNER.invoke(app, ["datasets", "list", "--json"]).stdout)
    assert [row["name"] for row in rows] == list(plugins.list_plugins("adapters"))
    assert all(row["reads"].endswith((".", ":")) for row in rows)


def test_the_help_names_the_health_check() -> None:
    assert "check the health" in RUNNER.invoke(app, ["datasets", "--help"]).stdout
    assert "check the health" in RUNNER.invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout


def test_a_failed_condition_is_exit_code_1_and_a_lenient_limit_0(tmp_path: Path) -> None:
    data = draw_class_folders(tmp_path / "data", {"cat": 3, "dog": 3})
    failed = RUNNER.invoke(app, ["datasets", "check", str(data), "--json"])
    assert failed.exit_code == 1
    conditions = json.loads(failed.stdout)["conditions"]
    assert [item["name"] for item in conditions if not item["passed"]] == ["min_class_images"]
    assert RUNNER.invoke(app, ["datasets", "check", str(data), "min_class_images=3"]).exit_code == 0
