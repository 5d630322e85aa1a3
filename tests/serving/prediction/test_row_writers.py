import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.serving.prediction import row_writers

COLUMNS = ("path", "predicted", "probability", "decision", "class_1", "luminance", "error")
ROWS: list[dict[str, Any]] = [
    {
        "path": f"{k}\n\"é', .png",
        "predicted": "a",
        "probability": k / 10,
        "decision": "answer",
        "class_1": "a",
        "luminance": float(k),
        "error": None,
    }
    for k in range(3)
] + [{**dict.fromkeys(COLUMNS), "path": "b", "decision": "error", "error": "empty file"}]


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_every_format_gives_back_what_was_written(tmp_path: Path, ending: str) -> None:
    out = tmp_path / "new" / f"rows{ending}"
    assert row_writers.write_rows(iter(ROWS), COLUMNS, out) == 4
    readers: dict[str, Any] = {
        ".jsonl": lambda p: pd.read_json(p, lines=True, dtype={"path": str}),
        ".csv": pd.read_csv,
        ".parquet": pd.read_parquet,
    }
    table = readers[ending](out)
    assert list(table.columns) == list(COLUMNS)
    assert table["path"].tolist() == [row["path"] for row in ROWS]
    assert table["probability"].iloc[:3].tolist() == [0.0, 0.1, 0.2]
    assert table["error"].iloc[3] == "empty file"
    assert row_writers.write_rows(iter(()), COLUMNS, out) == 0
    assert [p.name for p in out.parent.iterdir()] == [out.name]


def test_a_name_that_says_nothing_is_an_error_before_anything_is_predicted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"name it \.jsonl, \.csv or \.parquet"):
        row_writers.write_rows(iter(ROWS), COLUMNS, tmp_path / "rows.txt")


def test_added_rows_are_on_disk_one_by_one_and_a_torn_line_is_dropped(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"

    def dying() -> Iterator[dict[str, Any]]:
        yield ROWS[0]
        assert len(out.read_text().splitlines()) == 1, "on disk before the next is asked for"
        yield ROWS[1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        row_writers.write_rows(dying(), COLUMNS, out, append=True)
    with out.open("a") as file:
        file.write('{"path": "torn')
    assert row_writers.read_predicted_paths(out) == {ROWS[0]["path"], ROWS[1]["path"]}
    row_writers.write_rows(iter(ROWS[2:]), COLUMNS, out, append=True)
    assert [json.loads(line)["path"] for line in out.read_text().splitlines()] == [
        row["path"] for row in ROWS
    ]
    assert row_writers.read_predicted_paths(tmp_path / "none.jsonl") == set()


def test_a_file_of_something_else_is_not_touched(tmp_path: Path) -> None:
    out = tmp_path / "notes.jsonl"
    out.write_text("my notes\nmore")
    with pytest.raises(InputError, match="did not write"):
        row_writers.read_predicted_paths(out)
    assert out.read_text() == "my notes\nmore"


def test_decisions_are_counted_as_rows_go_by() -> None:
    tally = dict.fromkeys(("answer", "decline", "error"), 0)
    assert list(row_writers.count_decisions(iter(ROWS), tally)) == ROWS
    assert tally == {"answer": 3, "decline": 0, "error": 1}
