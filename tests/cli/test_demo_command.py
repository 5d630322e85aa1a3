from pathlib import Path

from typer.testing import CliRunner

from pipeline.cli.app import app


def test_the_number_of_photos_is_an_option() -> None:
    result = CliRunner().invoke(app, ["demo", "--help"], env={"COLUMNS": "200"})
    assert "--photos" in result.stdout


def test_too_few_photos_are_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    line = ["demo", "--photos", "3", "--data", str(tmp_path / "gate")]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 2
    assert not (tmp_path / "gate").exists()
