from pathlib import Path

import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.serving.monitoring import monitoring_history


def _row(key: str, at: str, **more: object) -> dict[str, object]:
    return {"key": key, "monitored_at": at, "failed": "", **more}


def test_it_grows_by_one_row_and_the_same_rows_stay_one(tmp_path: Path) -> None:
    monitoring_history.add_history_row(tmp_path, _row("a", "mon", images=1))
    monitoring_history.add_history_row(tmp_path, _row("b", "tue", images=2))
    table = monitoring_history.add_history_row(tmp_path, _row("a", "wed", images=3))
    assert table["key"].tolist() == ["a", "b"]
    assert table["images"].tolist() == [3, 2]
    assert table["monitored_at"].tolist() == ["mon", "tue"], "a repetition does not make it younger"
    before = (tmp_path / monitoring_history.HISTORY_FILE_NAME).read_bytes()
    monitoring_history.add_history_row(tmp_path, _row("a", "thu", images=3))
    assert (tmp_path / monitoring_history.HISTORY_FILE_NAME).read_bytes() == before


def test_another_champions_columns_are_added_and_gaps_stay_gaps(tmp_path: Path) -> None:
    monitoring_history.add_history_row(
        tmp_path, _row("a", "mon", **{"psi luminance": 0.1, "slice s1": 0.2})
    )
    table = monitoring_history.add_history_row(
        tmp_path, _row("b", "tue", **{"psi luminance": 0.4, "slice s2": 0.3})
    )
    assert pd.isna(table["slice s1"].iloc[1])
    assert monitoring_history.extract_series(table, ["psi luminance", "slice s2", "slice s9"]) == {
        "psi luminance": [(1, 0.1), (2, 0.4)],
        "slice s2": [(2, 0.3)],
    }
    assert monitoring_history.extract_series(
        monitoring_history.read_history(tmp_path), ["slice s2"]
    ) == {"slice s2": [(2, 0.3)]}


def test_a_table_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / monitoring_history.HISTORY_FILE_NAME).write_text("mine\n1\n")
    with pytest.raises(InputError, match="name another folder"):
        monitoring_history.add_history_row(tmp_path, _row("a", "mon"))
    assert (tmp_path / monitoring_history.HISTORY_FILE_NAME).read_text() == "mine\n1\n"
