import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.contracts import InputError
from tests.arrivals import bundle, rows

RUNNER = CliRunner()


def _run(tmp_path: Path, *more: str) -> tuple[int, str]:
    result = RUNNER.invoke(
        app, ["monitor", str(tmp_path / "b"), *more, "-o", str(tmp_path / "out")]
    )
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_exit_code_text_json_and_limits(tmp_path: Path) -> None:
    bundle(tmp_path / "b")
    rows(seed=3).to_csv(tmp_path / "usual.csv", index=False)
    rows(dark=0.9).to_csv(tmp_path / "dark=1.csv", index=False)
    code, text = _run(tmp_path, str(tmp_path / "usual.csv"))
    assert code == 0
    assert text.splitlines()[-1] == str(tmp_path / "out" / "index.html")
    code, text = _run(tmp_path, str(tmp_path / "dark=1.csv"), "--json")
    assert code == 1
    assert not all(c["passed"] for c in json.loads(text)["conditions"])
    lenient = ["max_psi=99", "max_slice_rise=1", "max_decline_rise=1", "max_new=1"]
    assert _run(tmp_path, str(tmp_path / "dark=1.csv"), *lenient)[0] == 0


def test_without_rows_it_is_one_line(tmp_path: Path) -> None:
    bundle(tmp_path / "b")
    with pytest.raises(InputError, match="name files that predict wrote"):
        _run(tmp_path, "max_psi=1")
    with pytest.raises(InputError, match="neither champion, nor a run"):
        RUNNER.invoke(app, ["monitor", "nowhere", "x.csv", "-o", "o"], catch_exceptions=False)
