"""The history of what was monitored: one row a table of rows and model, in a CSV that grows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.contracts import InputError
from pipeline.storage.artifact_store import write_text

HISTORY_FILE_NAME = "history.csv"


def build_history_row(findings: Mapping[str, Any], row_key: str) -> dict[str, Any]:
    """What is kept of one monitoring: counts, shares, the index and q of each attribute, and what failed."""
    psi = {f"psi {row['attribute']}": row["psi"] for row in findings["attributes"]}
    q = {f"q {row['attribute']}": row["q"] for row in findings["attributes"]}
    slices = {f"slice {row['slice']}": row["share"] for row in findings["slices"]}
    shares = {"declined": findings["decline"]["share"], "beyond": findings["strangers"]}
    failed = "; ".join(item["name"] for item in findings["conditions"] if not item["passed"])
    counts = {
        name: findings[name]
        for name in ("champion", "taken_from", "taken_to", "images", "units", "unreadable")
    }
    return {
        "key": row_key,
        "monitored_at": time.strftime("%Y-%m-%d %H:%M:%S"),
        **counts,
        **shares,
        **slices,
        **psi,
        **q,
        "failed": failed,
    }


def read_history(folder: Path) -> pd.DataFrame:
    """The history kept in a folder, oldest first; empty where there is none. Raises `InputError` for another table."""
    path = folder / HISTORY_FILE_NAME
    if not path.is_file():
        return pd.DataFrame()
    try:
        table = pd.read_csv(path, dtype={"key": "str", "champion": "str", "failed": "str"})
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
    """The history with this row in its place: at the end, or where the same rows and model stood before."""
    known = read_history(folder)
    rows: list[dict[Any, Any]] = known.to_dict("records")
    before = next((k for k, old in enumerate(rows) if old["key"] == row["key"]), None)
    if before is None:
        rows.append(dict(row))
    else:
        rows[before] = {**row, "monitored_at": rows[before]["monitored_at"]}
    table = pd.DataFrame(rows)
    write_text(folder / HISTORY_FILE_NAME, table.to_csv(index=False))
    return table


def extract_series(
    table: pd.DataFrame, columns: Sequence[str]
) -> dict[str, list[tuple[int, float]]]:
    """Points (row number from 1, value) of each of these columns that the history knows."""
    known = {name: list(enumerate(table[name].tolist(), 1)) for name in columns if name in table}
    points = {
        name: [(k, float(v)) for k, v in column if pd.notna(v)] for name, column in known.items()
    }
    return {name: column for name, column in points.items() if column}
