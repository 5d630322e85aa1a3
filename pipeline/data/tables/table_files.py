"""Tables read column by column: CSV, TSV, JSON lines, Parquet and Excel."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet
from pyarrow.lib import ArrowException

from pipeline.contracts import InputError
from pipeline.data.reading.image_record import MetadataValue, is_image

TableColumns = dict[str, list[Any]]
"""Values by column name, all columns equally long; None where a row has none."""

ImageTest = Callable[[str], bool]
"""Whether a text is the name of an image."""

_NUMBER_PATTERN = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d+)?")
"""Numbers that are read as such: up to 18 digits fit into int64, and codes like `007` stay text."""
_BOOLEAN_TEXTS = ("true", "false")
_MAX_JSON_CELLS = 50_000_000
"""Cells of a table of JSON lines; each key that a line lacks is a cell too."""
_MAX_PARQUET_ROWS, _MAX_COLUMNS = 10_000_000, 5000
"""Largest Parquet table; some kilobytes may hold any number of equal rows."""
_MAX_REASON_CHARACTERS = 300
"""Longest reason in an error message; some parsers quote the whole file."""


def _decode_text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start}); save it as UTF-8") from error


def _parse_csv(data: bytes, is_image_name: ImageTest) -> TableColumns:
    text = _decode_text(data)
    separator_line = re.match(r"sep=(.)\r?\n", text)  # written for Excel
    if separator_line:
        text = text[separator_line.end() :]
        delimiter = separator_line[1]
    else:
        header = re.sub(r'"[^"\n]*"', "", text.partition("\n")[0])
        delimiter = max(",;\t|", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    first_row = next(reader, [])
    has_heading = not any(_is_listed_image(cell, is_image_name) for cell in first_row)
    names = _name_columns(first_row if has_heading else [""] * len(first_row), has_heading)
    columns: list[list[str | None]] = [[] for _ in names]
    for row in reader if has_heading else itertools.chain([first_row], reader):
        if not row:
            continue
        if len(row) > len(names):
            raise ValueError(f"line {reader.line_num} has more values than there are columns")
        for column, value in zip(columns, row, strict=False):
            column.append(value or None)
        for column in columns[len(row) :]:
            column.append(None)
    return dict(zip(names, columns, strict=True))


def _is_listed_image(cell: str, is_image_name: ImageTest) -> bool:
    """Return whether a cell of the first row is an image, so that the table has no heading."""
    name = cell.strip()
    return is_image(name) or (bool(re.search(r"\d", name)) and is_image_name(name))


def _name_columns(header: list[str], has_heading: bool) -> list[str]:
    """Return unique column names; an empty one becomes `column 3`."""
    names = [name.strip() for name in header]
    if has_heading and not any(names):
        raise ValueError("the file is empty")
    names = [name or f"column {number}" for number, name in enumerate(names, start=1)]
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise ValueError(f"two columns have one name: {', '.join(repeated)}")
    return names


def _parse_jsonl(data: bytes, is_image_name: ImageTest) -> TableColumns:
    columns: TableColumns = {}
    cell_count = row_count = 0
    for number, line in enumerate(_decode_text(data).split("\n"), start=1):
        if not line.strip():
            continue
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is not a JSON object")
        for name, value in row.items():
            columns.setdefault(name, [None] * row_count).append(value)
        row_count += 1
        cell_count += len(columns)
        if cell_count > _MAX_JSON_CELLS or len(columns) > _MAX_COLUMNS:
            raise ValueError(
                f"its lines have {len(columns):,} keys together, which makes too many cells; "
                "give all lines the same keys"
            )
        for column in columns.values():
            if len(column) < row_count:
                column.append(None)
    return columns


def _parse_parquet(data: bytes, is_image_name: ImageTest) -> TableColumns:
    metadata = pyarrow.parquet.read_metadata(io.BytesIO(data))
    if metadata.num_rows > _MAX_PARQUET_ROWS or metadata.num_columns > _MAX_COLUMNS:
        raise ValueError(
            f"{metadata.num_rows:,} rows of {metadata.num_columns:,} columns are too many "
            f"(at most {_MAX_PARQUET_ROWS:,} and {_MAX_COLUMNS:,})"
        )
    columns: TableColumns = pyarrow.parquet.read_table(io.BytesIO(data)).to_pydict()
    return columns


def _parse_excel(data: bytes, is_image_name: ImageTest) -> TableColumns:
    try:
        frame = pd.read_excel(io.BytesIO(data), dtype=object)
    except ImportError as error:
        raise ValueError(
            "Excel needs openpyxl: pip install 'nightshift[excel]', or save the sheet as CSV"
        ) from error
    frame = frame.astype(object).where(frame.notna(), None)
    return {str(name): frame[name].tolist() for name in frame.columns}


_TABLE_PARSERS: dict[str, Callable[[bytes, ImageTest], TableColumns]] = {
    ".csv": _parse_csv,
    ".tsv": _parse_csv,
    ".jsonl": _parse_jsonl,
    ".parquet": _parse_parquet,
    ".xlsx": _parse_excel,
}


def read_table(
    data: bytes, path: Path, is_image_name: ImageTest = lambda name: False
) -> TableColumns:
    """Return the columns of a table in the format of its suffix.

    Text stays text. An empty cell of a CSV is None. A CSV whose first row names an image has no
    heading; its columns are called `column 1`, `column 2`, ...

    Args:
        data: bytes of the table.
        path: its path.
        is_image_name: whether a text is the name of an image of the data set.

    Raises:
        InputError: the table cannot be read; the message names the file.
    """
    try:
        return _TABLE_PARSERS[path.suffix.lower()](data, is_image_name)
    except (
        csv.Error,
        ValueError,
        TypeError,
        KeyError,
        OSError,
        RecursionError,
        ArrowException,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path}: cannot be read as a table: {reason[:_MAX_REASON_CHARACTERS]}"
        ) from error
    except Exception as error:  # openpyxl and zipfile raise almost any error on a damaged workbook
        raise InputError(f"{path}: cannot be read as a table: {type(error).__name__}") from error


def infer_column_type(values: list[Any]) -> list[Any]:
    """Return the values of a column with text converted to numbers or booleans if all of it is.

    Codes like `007` stay text.
    """
    texts = [value for value in values if isinstance(value, str)]
    booleans = [text.lower() in _BOOLEAN_TEXTS for text in texts]
    has_mixed_types = any(booleans) and not all(booleans)
    if not texts or has_mixed_types:
        return values
    if not all(booleans) and not all(map(_NUMBER_PATTERN.fullmatch, texts)):
        return values
    return [json.loads(value.lower()) if isinstance(value, str) else value for value in values]


def convert_to_text(value: Any) -> str | None:
    """Return a label, group or file name as text, or None if it is empty.

    >>> convert_to_text("00"), convert_to_text(1.0), convert_to_text(" ")
    ('00', '1', None)
    """
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().encode("utf-8", "backslashreplace").decode() or None


def convert_to_scalar(value: Any) -> MetadataValue:
    """Return a value that a table of images can hold; lists and dicts become JSON."""
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if value is None or isinstance(value, float | int | bool):
        return value
    return json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)
