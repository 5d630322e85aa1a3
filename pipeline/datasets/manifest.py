"""A table beside the images: `metadata.csv`, `.jsonl` or `.parquet`, in the root or in split folders."""

from __future__ import annotations

import csv
import json
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pandera
import pyarrow.parquet
from pyarrow.lib import ArrowException

from pipeline.contracts import InputError
from pipeline.datasets import SPLITS, Photo, Rejected, Value, is_image, moment, nearest, relative, walk

NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")

Row = dict[str, Any]


def manifests(root: Path) -> dict[Path, str | None]:
    """The manifests of a data set and the split that each one's folder stands for (None in the root)."""
    here = [root / name for name in NAMES if (root / name).is_file()]
    if here:
        return {here[0]: None}
    if not root.is_dir():
        return {}
    folders = sorted(f for f in root.iterdir() if f.name.lower() in SPLITS)
    return {f / name: SPLITS[f.name.lower()] for f in folders for name in NAMES if (f / name).is_file()}


def recognises(root: Path) -> str | None:
    """A manifest in the root, or one in each split's folder."""
    found = [path.relative_to(root).as_posix() for path in manifests(root)]
    return f"a manifest, {' and '.join(found)}" if found else None


def _csv(path: Path) -> list[Row]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        first = lines.readline()
        lines.seek(0)
        comma = next((sign for sign in ",;\t" if sign in first), ",")
        reader = csv.DictReader(lines, delimiter=comma, strict=True)
        rows = []
        for row in reader:
            if None in row:  # pandas would take the surplus for an index, and shift every column
                raise ValueError(f"line {reader.line_num} has more values than there are columns")
            rows.append({name: value or None for name, value in row.items()})
        if not reader.fieldnames:
            raise ValueError("the file is empty")
        return rows


def _jsonl(path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is not a JSON object")
            rows.append(row)
    return rows


def _parquet(path: Path) -> list[Row]:
    rows: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


_READERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}


def _typed(rows: list[Row], column: str) -> None:
    """Turn a column of text that is numbers (or true / false) throughout into such; codes like `007` stay text."""
    values = [row.get(column) for row in rows]
    filled = [value for value in values if isinstance(value, str)]
    if any(not re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?|true|false", value, re.IGNORECASE) for value in filled):
        return
    logical = [value.lower() in ("true", "false") for value in filled]
    if any(logical) == all(logical):
        for row, value in zip(rows, values, strict=True):
            row[column] = json.loads(value.lower()) if isinstance(value, str) else value


def _text(value: Any) -> str | None:
    """A label, group or file name as text: `00` stays `00`, 1 and 1.0 become `1`; None for nothing."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def _plain(value: Any) -> Value:
    if isinstance(value, float) and value != value:
        return None
    if value is None or isinstance(value, str | float | int | bool):
        return value
    return json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)


def _rows(path: Path) -> list[Row]:
    try:
        return _READERS[path.suffix](path)
    except (csv.Error, ValueError, OSError, ArrowException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be read as a table: {reason}") from error


def _require(path: Path, rows: list[Row], label: str) -> None:
    found = list(dict.fromkeys(key for row in rows for key in row))
    if not rows:
        raise InputError(f"{path}: lists no photos")
    for name, use in (("file_name", "paths of the photos below the manifest's folder"), (label, "labels")):
        if name not in found:
            how = " or set ingest.label" if name == label else ""
            raise InputError(
                f"{path}: no column {name!r} ({use}); columns found: {', '.join(found)}; {nearest(name, found)}{how}"
            )


def _inside(paths: pd.Series[str]) -> pd.Series[bool]:
    return ~paths.str.match(r"/|[A-Za-z]:|\.\.(/|$)")


def _schema(files: set[str], name: str) -> pandera.DataFrameSchema:
    """What every row must be; the `error` of a check is the reason for which a row is set aside."""
    there = {*files, ""}
    listed = pandera.Column(
        str,
        [
            pandera.Check(lambda p: p != "", error="no file_name"),
            pandera.Check(_inside, error="its path leads out of the data set's folder"),
            pandera.Check(lambda p: p.isin(there) | ~_inside(p), error=f"listed in {name}, but there is no such file"),
        ],
    )
    first = pandera.Check(lambda p: ~p.duplicated(), error=f"listed more than once in {name}")
    splits = pandera.Check(lambda s: s.isin(set(SPLITS.values())), error="its split is none of train, val and test")
    return pandera.DataFrameSchema(
        {
            "path": listed,
            "once": pandera.Column(str, first),
            "label": pandera.Column(str, nullable=False),
            "split": pandera.Column(str, splits, nullable=True),
        }
    )


def _reasons(table: pd.DataFrame, files: set[str], name: str) -> dict[int, str]:
    """Row number -> why the row is set aside (its first failure, in the order of the schema)."""
    try:
        _schema(files, name).validate(table, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        words = cases["check"].where(cases["check"] != "not_nullable", "no label")
        return {int(row): str(why) for row, why in zip(cases["index"][::-1], words[::-1], strict=True)}
    return {}


def _table(rows: list[Row], label: str, folder: str, split: str | None) -> pd.DataFrame:
    """The columns that are checked, as text: path below the root, label, split."""
    names = [(_text(row.get("file_name")) or "").replace("\\", "/") for row in rows]
    paths = [posixpath.normpath(posixpath.join(folder, name)) if name else "" for name in names]
    given = [_text(row.get("split")) or split for row in rows]
    splits = [SPLITS.get(value.lower(), value) if value else None for value in given]
    labels = [_text(row.get(label)) for row in rows]
    table = pd.DataFrame({"path": paths, "label": labels, "split": splits}, dtype="str")
    table["once"] = table["path"]
    return table


def _unread(value: Any) -> dict[str, Value]:
    """A time that cannot be read is kept as text in its column."""
    return {"captured_at": text} if (text := _text(value)) and moment(value) is None else {}


def _photos(root: Path, path: Path, split: str | None, files: set[str], label: str) -> Iterator[Photo | Rejected]:
    rows = _rows(path)
    _require(path, rows, label)
    reserved = {"file_name", label, "split", "group", "captured_at"}
    others = [c for c in dict.fromkeys(key for row in rows for key in row) if c not in reserved]
    if path.suffix == ".csv":
        for column in others:
            _typed(rows, column)
    folder = "" if path.parent == root else path.parent.name
    table = _table(rows, label, folder, split)
    reasons = _reasons(table, files, path.relative_to(root).as_posix())
    for number, (row, where, name, part) in enumerate(
        zip(rows, table["path"], table["label"], table["split"], strict=True)
    ):
        if number in reasons:
            yield Rejected(where or f"{path.name} row {number + 1}", reasons[number])
            continue
        yield Photo(
            os.path.join(os.path.abspath(root), where), where, label=name, group=_text(row.get("group")),
            captured_at=moment(row.get("captured_at")), split=None if pd.isna(part) else part,
            columns={column: _plain(row.get(column)) for column in others} | _unread(row.get("captured_at")),
        )


def manifest(root: Path, label: str = "label") -> Iterator[Photo | Rejected]:
    """A table with a row for each photo: `file_name` and a label; `split`, `group` and `captured_at` where known.

    `file_name` is relative to the manifest's folder. Labels and groups are text, whatever they look like; all other
    columns are kept as metadata. Set aside with a reason: rows without their file, without a label, listed twice or
    leading out of the folder; files that no manifest lists. Raises `InputError` where a manifest cannot be read.
    """
    found = manifests(root)
    if not found:
        raise InputError(f"ingest.data: {root}: no {' or '.join(NAMES)} in it")
    tables = {relative(root, str(path)) for path in found}
    files = {relative(root, entry) for entry in walk(root)} - tables
    listed = set()
    for path, split in found.items():
        for item in _photos(root, path, split, files, label):
            listed.add(item.path)
            yield item
    for path_left in sorted(files - listed):
        yield Rejected(path_left, "not listed in the manifest" if is_image(path_left) else "not an image file")
