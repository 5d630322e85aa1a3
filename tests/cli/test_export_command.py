import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from pipeline.cli.app import app


def test_help_names_the_formats() -> None:
    done = CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert "onnx, torch, safetensors or mlflow" in done.stdout


def test_a_missing_run_is_refused_in_one_line(tmp_path: Path) -> None:
    line = [
        sys.executable,
        "-m",
        "pipeline.cli.app",
        "export",
        "gone",
        "--format",
        "onnx",
        "--runs",
        str(tmp_path),
    ]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("nightshift: gone: neither champion, nor a run in")
