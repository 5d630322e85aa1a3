import json
import os
from pathlib import Path

import pytest

from pipeline.commands.shared import find_run, show
from pipeline.contracts import InputError
from pipeline.store import Run


def test_a_run_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    Run.begin(tmp_path / "one")
    assert find_run("one", tmp_path).path == find_run(str(tmp_path / "one"), Path("elsewhere")).path
    with pytest.raises(InputError, match="no such run"):
        find_run("two", tmp_path)
    assert os.sep in str(tmp_path)


def test_rows_are_shown_as_a_table_or_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    show({"any": "é"}, [], True)
    assert json.loads(capsys.readouterr().out) == {"any": "é"}
    show([], [{"run": "[red]a", "state": 3}], False)
    out = capsys.readouterr().out
    assert "[red]a" in out, "names are data, not markup"
    assert "state" in out
