"""Tables as CSV for a spreadsheet: the only writer of CSV files.

A spreadsheet runs a text as a formula that begins with one of a few characters. It may also divide
a line at `;` or a tab, whatever the quotes. Such texts get an apostrophe, which `unescape_formulas`
removes again.

Source: OWASP, CSV injection.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pandas as pd

LINE_END = "\r\n"
"""As in RFC 4180; with another one, the csv module leaves a carriage return without quotes."""
_CELL_START = r"((?:^|[;\t\r\n])[ \u00a0]*)"
_FORMULA_START = "[=+\\-@\u066a\uff1d\uff0b\uff0d\uff20]|[\t\r]"
_FORMULA_PATTERN = re.compile(f"{_CELL_START}(?='*(?:{_FORMULA_START}))")
_ESCAPED_PATTERN = re.compile(f"{_CELL_START}'(?='*(?:{_FORMULA_START}))")


def escape_formula(value: Any) -> Any:
    r"""Return a text that no spreadsheet runs; other values stay as they are.

    >>> escape_formula("=HYPERLINK(1)"), escape_formula("a;@b"), escape_formula("a-b"), -1
    ("'=HYPERLINK(1)", "a;'@b", 'a-b', -1)
    """
    return _FORMULA_PATTERN.sub(r"\1'", value) if isinstance(value, str) else value


def unescape_formula(value: Any) -> Any:
    """Return the text that `escape_formula` was given.

    >>> unescape_formula(escape_formula("=1;'=2"))
    "=1;'=2"
    """
    return _ESCAPED_PATTERN.sub(r"\1", value) if isinstance(value, str) else value


def _map_texts(table: pd.DataFrame, convert: Any) -> pd.DataFrame:
    converted = {}
    for name in table.columns:
        column = table[name]
        is_number = pd.api.types.is_numeric_dtype(column)
        if not is_number and not pd.api.types.is_datetime64_any_dtype(column):
            dtype = column.dtype if pd.api.types.is_string_dtype(column.dtype) else "object"
            converted[name] = pd.Series(list(map(convert, column)), column.index, dtype)
    return table.assign(**converted).rename(columns=convert)


def unescape_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table that was read from a CSV file of this module as it was written."""
    return _map_texts(table, unescape_formula)


def format_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV without its index."""
    return _map_texts(table, escape_formula).to_csv(index=False, lineterminator=LINE_END)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without its index."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(format_csv(table))


class CsvRowWriter:
    """Writes rows as they come; the first line is the header."""

    def __init__(self, file: IO[str], columns: Sequence[str], line_end: str = LINE_END) -> None:
        """Write the header.

        Args:
            file: opened with `newline=""`.
            columns: names of the columns.
            line_end: end of a line; with another one no text may hold a line end.
        """
        self._columns = columns
        self._writer = csv.writer(file, lineterminator=line_end)
        self._writer.writerow(map(escape_formula, columns))

    def write_row(self, row: Mapping[str, Any]) -> None:
        """Write one row; columns that it lacks stay empty."""
        self._writer.writerow(escape_formula(row.get(name)) for name in self._columns)
