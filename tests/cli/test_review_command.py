import json
from pathlib import Path

from typer.testing import CliRunner

from pipeline.cli.app import app


def test_a_review_is_applied_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    file.write_text(
        '{"review": 1, "run_id": "r", "slices": [{"key": "dark", "decision": "muted"}]}'
    )
    home = tmp_path / "runs"
    home.mkdir()
    result = CliRunner().invoke(app, ["review", "apply", str(file), "--runs", str(home)])
    assert result.exit_code == 0, result.output
    assert "1 slices and 0 labels of r" in result.stdout
    assert json.loads((home / "review.json").read_text())["slices"]["dark"]["decision"] == "muted"
