"""The history of monitoring: a CSV with one row for each set of prediction files and model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.contracts import InputError
from pipeline.storage.artifact_store import lock_file, write_text
from pipeline.storage.csv_tables import format_csv, unescape_formulas

HISTORY_FILE_NAME = "history.csv"
PSI_PREFIX = "psi "
"""Of the columns that hold the population stability index of an attribute."""
SLICE_PREFIX = "slice "
"""Of the columns that hold the share of a slice."""
DECLINED_COLUMN = "declined"
NOVEL_COLUMN = "novel"
"""Share of images with a value beyond everything known."""
_TEXT_COLUMNS = ("key", "champion", "failed")


def build_history_row(findings: Mapping[str, Any], row_key: str) -> dict[str, Any]:
    """Return the row of one monitoring: counts, shares, index and q of each attribute, failures.

    Args:
        findings: as `monitor_traffic` returns them.
        row_key: identifies the prediction files and the model.
    """
    row = {"key": row_key, "monitored_at": time.strftime("%Y-%m-%d %H:%M:%S")}
    for name in ("champion", "taken_from", "taken_to", "images", "units", "unreadable"):
        row[name] = findings[name]
    row[DECLINED_COLUMN] = findings["decline"]["share"]
    row[NOVEL_COLUMN] = findings["novel_share"]
    for item in findings["slices"]:
        row[SLICE_PREFIX + item["slice"]] = item["share"]
    for item in findings["attributes"]:
        row[PSI_PREFIX + item["attribute"]] = item["psi"]
    for item in findings["attributes"]:
        row[f"q {item['attribute']}"] = item["q"]
    failed = [item["name"] for item in findings["conditions"] if not item["passed"]]
    return {**row, "failed": "; ".join(failed)}


def read_history(folder: Path) -> pd.DataFrame:
    """Return the history in a folder, oldest row first; empty if there is none.

    Raises:
        InputError: the file is not a history.
    """
    path = folder / HISTORY_FILE_NAME
    if not path.is_file():
        return pd.DataFrame()
    try:
        table = unescape_formulas(pd.read_csv(path, dtype=dict.fromkeys(_TEXT_COLUMNS, "str")))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); move it away to begin a new history"
        ) from error
    if "key" not in table:
        raise InputError(
            f"{path}: not the history of nightshift monitor; name another folder with -o"
        )
    return table


def add_history_row(folder: Path, row: Mapping[str, Any]) -> pd.DataFrame:
    """Write a row into the history and return the history.

    A row of the same key is replaced and keeps its time; any other row is added at the end.
    """
    with lock_file(folder / HISTORY_FILE_NAME):
        rows: list[dict[Any, Any]] = read_history(folder).to_dict("records")
        keys = [known["key"] for known in rows]
        if row["key"] in keys:
            index = keys.index(row["key"])
            rows[index] = {**row, "monitored_at": rows[index]["monitored_at"]}
        else:
            rows.append(dict(row))
        table = pd.DataFrame(rows)
        write_text(folder / HISTORY_FILE_NAME, format_csv(table))
        return table


def extract_series(
    table: pd.DataFrame, columns: Sequence[str]
) -> dict[str, list[tuple[int, float]]]:
    """Return the points of each column with a value: row number from 1, and value."""
    series = {}
    for name in columns:
        if name not in table:
            continue
        points = []
        for number, value in enumerate(table[name].tolist(), 1):
            if pd.notna(value):
                points.append((number, float(value)))
        if points:
            series[name] = points
    return series
