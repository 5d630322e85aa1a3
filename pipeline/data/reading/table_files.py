"""Tables that list images, column by column: CSV, TSV, JSON lines, Parquet and Excel."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet
from pyarrow.lib import ArrowException

from pipeline.contracts import InputError
from pipeline.data.reading.image_record import MetadataValue

TableColumns = dict[str, list[Any]]
"""Values by column name, all columns equally long; None where a row has none."""

_NUMBER_PATTERN = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d+)?")


def _decode_text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start}); save it as UTF-8") from error


def _parse_csv(data: bytes) -> TableColumns:
    text = _decode_text(data)
    told = re.match(r"sep=(.)\r?\n", text)  # a line for Excel
    text = text[told.end() :] if told else text
    first = re.sub(r'"[^"\n]*"', "", text.partition("\n")[0])
    sign = told[1] if told else max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True)
    names = [name.strip() for name in next(reader, [])]
    if not any(names):
        raise ValueError("the file is empty")
    names = [name or f"column {number}" for number, name in enumerate(names, start=1)]
    if len(set(names)) < len(names):
        raise ValueError(
            f"two columns have one name: {', '.join(sorted({n for n in names if names.count(n) > 1}))}"
        )
    columns: list[list[str | None]] = [[] for _ in names]
    for row in reader:
        if not row:
            continue
        if len(row) > len(names):
            raise ValueError(f"line {reader.line_num} has more values than there are columns")
        for column, value in zip(columns, row, strict=False):
            column.append(value or None)
        for column in columns[len(row) :]:
            column.append(None)
    return dict(zip(names, columns, strict=True))


def _parse_jsonl(data: bytes) -> TableColumns:
    columns: TableColumns = {}
    count = 0
    for number, line in enumerate(_decode_text(data).split("\n"), start=1):
        if not line.strip():
            continue
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is not a JSON object")
        for name, value in row.items():
            columns.setdefault(name, [None] * count).append(value)
        count += 1
        for column in columns.values():
            if len(column) < count:
                column.append(None)
    return columns


def _parse_parquet(data: bytes) -> TableColumns:
    columns: TableColumns = pyarrow.parquet.read_table(io.BytesIO(data)).to_pydict()
    return columns


def _parse_excel(data: bytes) -> TableColumns:
    try:
        frame = pd.read_excel(io.BytesIO(data), dtype=object)
    except ImportError as error:
        raise ValueError(
            "Excel needs openpyxl: pip install 'nightshift[excel]', or save the sheet as CSV"
        ) from error
    frame = frame.astype(object).where(frame.notna(), None)
    return {str(name): frame[name].tolist() for name in frame.columns}


_TABLE_PARSERS: dict[str, Callable[[bytes], TableColumns]] = {
    ".csv": _parse_csv,
    ".tsv": _parse_csv,
    ".jsonl": _parse_jsonl,
    ".parquet": _parse_parquet,
    ".xlsx": _parse_excel,
}


def read_table(data: bytes, path: Path) -> TableColumns:
    """The columns of a table by its file's suffix. Text stays text; an empty cell of a CSV is None.

    Raises `InputError` that names the file where it cannot be read.
    """
    try:
        return _TABLE_PARSERS[path.suffix.lower()](data)
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
        raise InputError(f"{path}: cannot be read as a table: {reason[:300]}") from error
    except Exception as error:  # openpyxl and zipfile raise almost anything on a damaged workbook
        raise InputError(f"{path}: cannot be read as a table: {type(error).__name__}") from error


def infer_column_type(values: list[Any]) -> list[Any]:
    """A column of text that is numbers (or true / false) throughout as such; codes like `007` stay text."""
    filled = [value for value in values if isinstance(value, str)]
    if any(not _NUMBER_PATTERN.fullmatch(v) and v.lower() not in ("true", "false") for v in filled):
        return values
    logical = [value.lower() in ("true", "false") for value in filled]
    if any(logical) == all(logical):
        return [json.loads(value.lower()) if isinstance(value, str) else value for value in values]
    return values


def convert_to_text(value: Any) -> str | None:
    """A label, group or file name as text: `00` stays `00`, 1 and 1.0 become `1`; None for nothing."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().encode("utf-8", "backslashreplace").decode() or None


def convert_to_scalar(value: Any) -> MetadataValue:
    """A value that a table of images can hold; lists and mappings become JSON, anything else text."""
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if value is None or isinstance(value, float | int | bool):
        return value
    return json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)
