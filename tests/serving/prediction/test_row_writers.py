import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.contracts import InputError, RunBusyError
from pipeline.serving.prediction import row_writers

COLUMNS = ("path", "predicted", "probability", "decision", "class_1", "luminance", "error")
ROWS: list[dict[str, Any]] = []
for _k in range(3):
    ROWS.append(
        {
            "path": f"{_k}\n\"é', .png",
            "predicted": "a",
            "probability": _k / 10,
            "decision": "answer",
            "class_1": "a",
            "luminance": float(_k),
            "error": None,
        }
    )
ROWS.append({**dict.fromkeys(COLUMNS), "path": "b", "decision": "error", "error": "empty file"})


def _read_rows(path: Path) -> pd.DataFrame:
    if path.suffix == ".jsonl":
        return pd.read_json(path, lines=True, dtype={"path": str})
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.mark.parametrize("suffix", row_writers.OUTPUT_SUFFIXES)
def test_every_format_preserves_the_rows(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / "new" / f"rows{suffix}"
    assert row_writers.write_rows(iter(ROWS), COLUMNS, out) == 4
    table = _read_rows(out)
    assert list(table.columns) == list(COLUMNS)
    assert table["path"].tolist() == [row["path"] for row in ROWS]
    assert table["probability"].iloc[:3].tolist() == [0.0, 0.1, 0.2]
    assert table["error"].iloc[3] == "empty file"
    assert row_writers.write_rows(iter(()), COLUMNS, out) == 0
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_parquet_types_do_not_depend_on_the_rows(tmp_path: Path) -> None:
    row_writers.write_rows(iter(ROWS[3:]), COLUMNS, tmp_path / "errors.parquet")
    row_writers.write_rows(iter(ROWS), COLUMNS, tmp_path / "all.parquet")
    errors = pd.read_parquet(tmp_path / "errors.parquet").dtypes
    assert errors.equals(pd.read_parquet(tmp_path / "all.parquet").dtypes)


def test_unknown_suffix_is_an_error_before_anything_is_predicted(tmp_path: Path) -> None:
    def predict_row() -> Iterator[dict[str, Any]]:
        pytest.fail("a row was predicted")
        yield {}

    with pytest.raises(InputError, match=r"name it \.jsonl, \.csv or \.parquet"):
        row_writers.write_rows(predict_row(), COLUMNS, tmp_path / "rows.txt")


def test_appended_rows_survive_an_interruption(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"

    def yield_interrupted() -> Iterator[dict[str, Any]]:
        yield ROWS[0]
        assert len(out.read_text().splitlines()) == 1  # on disk before the next is predicted
        yield ROWS[1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        row_writers.write_rows(yield_interrupted(), COLUMNS, out, append=True)
    with out.open("a") as file:
        file.write('{"path": "incomplete')
    assert row_writers.read_predicted_paths(out) == ({ROWS[0]["path"], ROWS[1]["path"]}, set())
    row_writers.write_rows(iter(ROWS[2:]), COLUMNS, out, append=True)
    paths = [json.loads(line)["path"] for line in out.read_text().splitlines()]
    assert paths == [row["path"] for row in ROWS]
    assert row_writers.read_predicted_paths(tmp_path / "none.jsonl") == (set(), set())


def test_file_of_another_program_stays_unchanged(tmp_path: Path) -> None:
    out = tmp_path / "notes.jsonl"
    out.write_text("my notes\nmore")
    with pytest.raises(InputError, match="did not write"):
        row_writers.read_predicted_paths(out)
    assert out.read_text() == "my notes\nmore"


def test_decisions_are_counted() -> None:
    counts = dict.fromkeys(("answer", "decline", "error"), 0)
    assert list(row_writers.count_decisions(iter(ROWS), counts)) == ROWS
    assert counts == {"answer": 3, "decline": 0, "error": 1}


def test_the_last_row_of_an_image_decides_whether_it_failed(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    rows = [("a", "cut off"), ("b", None), ("a", None), ("c", "cut off")]
    text = [json.dumps({"path": path, "error": error}) for path, error in rows]
    out.write_text("\n".join([*text, ""]))
    assert row_writers.read_predicted_paths(out) == ({"a", "b"}, {"c"})


@pytest.mark.parametrize("line", ["[]", "7", "[" * 100_000, '{"path": 1'])
def test_odd_lines_are_one_line(line: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match="did not write"):
        row_writers.read_predicted_paths(tmp_path / "rows.jsonl")


def test_an_output_has_one_watcher(tmp_path: Path) -> None:
    with (
        row_writers.hold_output(tmp_path / "rows.jsonl"),
        pytest.raises(RunBusyError, match=r"rows\.jsonl"),
        row_writers.hold_output(tmp_path / "rows.jsonl"),
    ):
        pass
    with row_writers.hold_output(tmp_path / "rows.jsonl"):
        pass
