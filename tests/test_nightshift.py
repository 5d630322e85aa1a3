"""The public API and the command line, beside a user's file called pipeline.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nightshift
import pytest

import pipeline
from tests.helpers.command_line import build_environment


def _run(command: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=build_environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder with a pipeline.py that must not be imported."""
    (tmp_path / "pipeline.py").write_text("raise SystemExit('the wrong pipeline')\n")
    return tmp_path


def test_load_is_public_and_imports_torch_only_when_it_is_used() -> None:
    code = (
        "import sys, nightshift; "
        "print('torch' in sys.modules, callable(nightshift.load), 'torch' in sys.modules)"
    )
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert output.split() == ["False", "True", "True"]
    assert nightshift.__version__ == pipeline.__version__
    assert dir(nightshift) == ["__version__", "analyze", "load"]
    assert nightshift.analyze is pipeline.analyze
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = nightshift.lod


def test_the_api_is_imported_beside_a_users_pipeline(project: Path) -> None:
    code = (
        "import sys, nightshift; sys.path.insert(0, ''); from nightshift import load; "
        "import pipeline; print(load.__name__, pipeline.__file__)"
    )
    done = _run([sys.executable, "-c", code], project)
    assert done.returncode == 0, done.stderr
    name, file = done.stdout.split()
    assert (name, file) == ("load_predictor", pipeline.__file__)


@pytest.mark.parametrize("variables", [{}, {"PYTHONPATH": "."}], ids=["plain", "PYTHONPATH"])
def test_the_commands_run_beside_a_users_pipeline(variables: dict[str, str], project: Path) -> None:
    script = Path(sys.executable).parent / "nightshift"
    for command in ([str(script)], [sys.executable, "-m", "nightshift"]):
        done = _run([*command, "--version"], project, **variables)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"nightshift {pipeline.__version__}\n"


def test_a_users_pipeline_that_was_imported_first_is_named(project: Path) -> None:
    (project / "pipeline.py").write_text("")
    done = _run([sys.executable, "-c", "import pipeline, nightshift"], project, PYTHONPATH=".")
    last_line = done.stderr.splitlines()[-1]
    assert last_line.startswith(
        "ImportError: nightshift: the module `pipeline` was already imported"
    )
    assert str(project / "pipeline.py") in last_line
