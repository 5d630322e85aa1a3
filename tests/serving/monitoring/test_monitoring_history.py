from pathlib import Path

import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.serving.monitoring.monitoring_history import (
    HISTORY_FILE_NAME,
    add_history_row,
    build_history_row,
    extract_series,
    read_history,
)


def _build_row(key: str, time: str, **values: object) -> dict[str, object]:
    return {"key": key, "monitored_at": time, "failed": "", **values}


def test_row_of_a_known_key_is_replaced_in_its_place(tmp_path: Path) -> None:
    add_history_row(tmp_path, _build_row("a", "mon", images=1))
    add_history_row(tmp_path, _build_row("b", "tue", images=2))
    table = add_history_row(tmp_path, _build_row("a", "wed", images=3))
    assert table["key"].tolist() == ["a", "b"]
    assert table["images"].tolist() == [3, 2]
    assert table["monitored_at"].tolist() == ["mon", "tue"]
    before = (tmp_path / HISTORY_FILE_NAME).read_bytes()
    add_history_row(tmp_path, _build_row("a", "thu", images=3))
    assert (tmp_path / HISTORY_FILE_NAME).read_bytes() == before


def test_columns_of_another_champion_leave_gaps(tmp_path: Path) -> None:
    first = {"psi luminance": 0.1, "slice s1": 0.2}
    second = {"psi luminance": 0.4, "slice s2": 0.3}
    add_history_row(tmp_path, _build_row("a", "mon", **first))
    table = add_history_row(tmp_path, _build_row("b", "tue", **second))
    assert pd.isna(table["slice s1"].iloc[1])
    expected = {"psi luminance": [(1, 0.1), (2, 0.4)], "slice s2": [(2, 0.3)]}
    columns = ["psi luminance", "slice s2", "slice s9"]
    assert extract_series(table, columns) == expected
    assert extract_series(read_history(tmp_path), columns) == expected


def test_row_holds_shares_indices_and_the_names_of_failed_conditions() -> None:
    attribute = {"attribute": "luminance", "psi": 0.3, "q": 0.01}
    findings = {
        **dict.fromkeys(("champion", "taken_from", "taken_to", "images", "units", "unreadable"), 0),
        "decline": {"share": 0.2},
        "novel_share": 0.1,
        "slices": [{"slice": "s1", "share": 0.4}],
        "attributes": [attribute],
        "conditions": [{"name": "a", "passed": False}, {"name": "b", "passed": True}],
    }
    row = build_history_row(findings, "k")
    assert (row["declined"], row["novel"], row["slice s1"]) == (0.2, 0.1, 0.4)
    assert (row["psi luminance"], row["q luminance"], row["failed"]) == (0.3, 0.01, "a")


def test_table_of_another_program_stays_unchanged(tmp_path: Path) -> None:
    (tmp_path / HISTORY_FILE_NAME).write_text("mine\n1\n")
    with pytest.raises(InputError, match="name another folder"):
        add_history_row(tmp_path, _build_row("a", "mon"))
    assert (tmp_path / HISTORY_FILE_NAME).read_text() == "mine\n1\n"
