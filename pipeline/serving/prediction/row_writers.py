"""Writers of prediction rows: JSON lines, CSV or Parquet, row by row in bounded memory."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.contracts import InputError
from pipeline.storage.artifact_store import lock_file
from pipeline.storage.csv_tables import CsvRowWriter

# Rows that are in memory before they become a row group of a Parquet file.
PARQUET_GROUP_ROWS = 1024
OUTPUT_SUFFIXES = (".jsonl", ".csv", ".parquet")
TEXT_COLUMNS = frozenset(
    (
        "path",
        "predicted",
        "decision",
        "reason",
        "correction",
        "slices",
        "group",
        "captured_at",
        "model",
        "error",
    )
)
"""Columns of text, besides the classes; all others are numbers."""
PredictionRow = Mapping[str, Any]


def check_output_name(out: Path | None) -> None:
    """Raise `InputError` if the suffix of an output file is none of `OUTPUT_SUFFIXES`."""
    if out is not None and out.suffix not in OUTPUT_SUFFIXES:
        raise InputError(f"{out}: name it .jsonl, .csv or .parquet")


def count_decisions(
    rows: Iterable[PredictionRow], decision_counts: dict[str, int]
) -> Iterator[PredictionRow]:
    """Yield the rows unchanged and count their decisions in `decision_counts`."""
    for row in rows:
        decision_counts[row["decision"]] += 1
        yield row


@contextmanager
def _open_output(out: Path | None, mode: str) -> Iterator[IO[str]]:
    if out is None:
        yield sys.stdout
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open(mode, encoding="utf-8", newline="") as file:
        yield file


def _build_schema(columns: Sequence[str]) -> pa.Schema:
    fields = []
    for column in columns:
        is_text = column in TEXT_COLUMNS or column.startswith("class_")
        fields.append((column, pa.string() if is_text else pa.float64()))
    return pa.schema(fields)


def _write_parquet(rows: Iterable[PredictionRow], columns: Sequence[str], out: Path) -> int:
    schema = _build_schema(columns)
    row_count = 0
    rest = iter(rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f"{out.name}.part")
    with pq.ParquetWriter(unfinished, schema) as writer:
        while group := [dict(row) for row in islice(rest, PARQUET_GROUP_ROWS)]:
            writer.write_table(pa.Table.from_pylist(group, schema))
            row_count += len(group)
    os.replace(unfinished, out)
    return row_count


def write_rows(
    rows: Iterable[PredictionRow], columns: Sequence[str], out: Path | None, *, append: bool = False
) -> int:
    """Write rows as they come and return their number.

    Args:
        rows: the rows.
        columns: their columns, in order.
        out: the file, in the format of its suffix; None for JSON lines on standard output.
        append: add to a file of JSON lines; each row is on the disk before the next is computed.

    Raises:
        InputError: the suffix of the file is unknown.
    """
    check_output_name(out)
    if out is not None and out.suffix == ".parquet":
        return _write_parquet(rows, columns, out)
    row_count = 0
    with _open_output(out, "a" if append else "w") as file:
        is_csv = out is not None and out.suffix == ".csv"
        table = CsvRowWriter(file, columns) if is_csv else None
        for row in rows:
            row_count += 1
            if table:
                table.write_row(row)
            else:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            if append:
                file.flush()
                os.fsync(file.fileno())
    return row_count


@contextmanager
def hold_output(out: Path) -> Iterator[None]:
    """Hold a file of rows for one watcher.

    Raises:
        RunBusyError: another watcher appends to it.
    """
    with lock_file(out, should_wait=False):
        yield


def read_predicted_paths(out: Path) -> tuple[set[str], set[str]]:
    """Return the paths in a file of JSON lines: those with a prediction, and those with an error.

    An incomplete last line is removed from the file.

    Raises:
        InputError: the file holds a line that `nightshift predict` did not write.
    """
    if not out.exists():
        return set(), set()
    if not out.is_file():
        raise InputError(f"{out}: not a regular file; name another")
    complete_size = 0
    is_predicted: dict[str, bool] = {}
    with out.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            complete_size += len(line)
            try:
                row = json.loads(line)
                is_predicted[str(row["path"])] = row.get("error") is None
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise InputError(
                    f"{out}: holds a line that nightshift predict did not write; name another"
                ) from error
    os.truncate(out, complete_size)
    predicted = {path for path, is_good in is_predicted.items() if is_good}
    return predicted, set(is_predicted) - predicted
