"""Rows as they come: JSON lines, CSV or Parquet, on disk or on standard output, in bounded memory."""

from __future__ import annotations

import csv
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

PARQUET_GROUP_ROWS = 1024  # rows of a Parquet row group
OUTPUT_SUFFIXES = (".jsonl", ".csv", ".parquet")
PredictionRow = Mapping[str, Any]


def check_output_name(out: Path | None) -> None:
    """Raise `InputError` for a name whose ending says nothing."""
    if out is not None and out.suffix not in OUTPUT_SUFFIXES:
        raise InputError(f"{out}: name it .jsonl, .csv or .parquet")


def count_decisions(
    rows: Iterable[PredictionRow], decision_counts: dict[str, int]
) -> Iterator[PredictionRow]:
    """The rows as they are, counted by their decision."""
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
    text = (
        "path",
        "predicted",
        "decision",
        "reason",
        "correction",
        "slices",
        "group",
        "captured_at",
        "error",
    )
    return pa.schema(
        [(c, pa.string() if c in text or c.startswith("class_") else pa.float64()) for c in columns]
    )


def _write_parquet(rows: Iterable[PredictionRow], columns: Sequence[str], out: Path) -> int:
    schema, count, rest = _build_schema(columns), 0, iter(rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f"{out.name}.part")
    with pq.ParquetWriter(aside, schema) as writer:
        while part := [dict(row) for row in islice(rest, PARQUET_GROUP_ROWS)]:
            writer.write_table(pa.Table.from_pylist(part, schema))
            count += len(part)
    os.replace(aside, out)
    return count


def write_rows(
    rows: Iterable[PredictionRow], columns: Sequence[str], out: Path | None, *, append: bool = False
) -> int:
    """Write rows with these columns to `out` by its ending, or as JSON lines to standard output; returns how many.

    append: to a JSON lines file, each row on disk before the next is asked for. Raises `InputError` for another ending.
    """
    check_output_name(out)
    if out is not None and out.suffix == ".parquet":
        return _write_parquet(rows, columns, out)
    count = 0
    with _open_output(out, "a" if append else "w") as file:
        table = csv.DictWriter(file, columns) if out is not None and out.suffix == ".csv" else None
        if table:
            table.writeheader()
        for row in rows:
            count += 1
            if table:
                table.writerow(row)
            else:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            if append:
                file.flush()
                os.fsync(file.fileno())
    return count


def read_predicted_paths(out: Path) -> set[str]:
    """The paths that a JSON lines file holds; a last line that was cut short is taken off the file."""
    if not out.is_file():
        return set()
    whole, paths = 0, set()
    with out.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            try:
                paths.add(str(json.loads(line)["path"]))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{out}: holds a line that nightshift predict did not write; name another"
                ) from error
    os.truncate(out, whole)
    return paths
