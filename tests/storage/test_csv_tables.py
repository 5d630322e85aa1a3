"""Tables for a spreadsheet: pipeline/storage/csv_tables.py."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline
from pipeline.storage.csv_tables import (
    CsvRowWriter,
    escape_formula,
    format_csv,
    unescape_formula,
    unescape_formulas,
    write_csv,
)

TEXTS = st.text(alphabet="=+-@'; \t\r\na1,\"\uff1d", max_size=12)
FORMULA = re.compile(r"(^|[;\t\r\n])[ \u00a0]*[=+\-@\uff1d]")


@given(TEXTS)
def test_no_text_is_a_formula_and_every_text_comes_back(text: str) -> None:
    escaped = escape_formula(text)
    assert not FORMULA.search(escaped)
    assert unescape_formula(escaped) == text


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_no_cell_of_a_table_is_a_formula(rows: list[tuple[str, str]]) -> None:
    """Neither where cells end at commas, nor where a spreadsheet divides lines at `;` or tabs."""
    table = pd.DataFrame(rows, columns=["=a", "b"])
    text = format_csv(table)
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert not any(FORMULA.search(cell) for cell in cells)
    read = pd.read_csv(io.StringIO(text, newline=""), dtype="str", keep_default_na=False)
    pd.testing.assert_frame_equal(unescape_formulas(read), table, check_dtype=False)


def test_numbers_and_unknown_values_stay_as_they_are(tmp_path: Path) -> None:
    table = pd.DataFrame({"excess": [-0.5, 0.25], "group": ["-5", None]})
    write_csv(tmp_path / "a.csv", table)
    assert (tmp_path / "a.csv").read_bytes() == b"excess,group\r\n-0.5,'-5\r\n0.25,\r\n"


def test_rows_are_written_as_they_come() -> None:
    file = io.StringIO()
    writer = CsvRowWriter(file, ["path", "share"])
    writer.write_row({"path": "=1", "share": -1.0, "other": 2})
    writer.write_row({"share": None})
    assert file.getvalue() == "path,share\r\n'=1,-1.0\r\n,\r\n"


@pytest.mark.parametrize("call", ["to_csv(", "csv.writer(", "DictWriter("])
def test_no_other_module_writes_csv(call: str) -> None:
    folder = Path(pipeline.__file__).parent
    files = [path for path in folder.rglob("*.py") if call in path.read_text(encoding="utf-8")]
    assert {path.name for path in files} <= {"csv_tables.py"}
