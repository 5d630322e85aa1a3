"""Rows of `nightshift predict`, read back as traffic to compare."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pyarrow.lib import ArrowException

from pipeline.contracts import InputError
from pipeline.domain.statuses import Decision
from pipeline.serving.prediction.predictor import SLICE_SEPARATOR
from pipeline.serving.prediction.row_writers import OUTPUT_SUFFIXES, TEXT_COLUMNS
from pipeline.slices.tracking.reference_profile import (
    SLICE_COLUMN_PREFIX,
    ReferenceProfile,
    assign_units,
    list_compared_attributes,
)
from pipeline.slices.tracking.traffic_comparison import ArrivedTraffic
from pipeline.storage.csv_tables import unescape_formulas
from pipeline.storage.user_files import (
    MAX_COLUMNS,
    MAX_TABLE_BYTES,
    check_parquet_size,
    check_user_file,
)

REQUIRED_COLUMNS = ("path", "predicted", "probability", "decision", "slices", "model")


def _read_json_lines(path: Path) -> pd.DataFrame:
    """Return the rows of a file of JSON lines, without a last line that is still being written."""
    text = path.read_text(encoding="utf-8")
    complete_text = text[: text.rfind("\n") + 1]
    # splitlines() would also divide at characters that JSON keeps in its texts, such as U+2028.
    lines = filter(str.strip, complete_text.split("\n"))
    rows = list(map(json.loads, lines))
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
        if len(names) > MAX_COLUMNS:
            raise ValueError(f"its lines have more than {MAX_COLUMNS} keys together")
    return pd.DataFrame(rows)


def _read_table(path: Path) -> pd.DataFrame:
    if path.suffix not in OUTPUT_SUFFIXES:
        raise InputError(f"{path}: rows of nightshift predict end in .jsonl, .csv or .parquet")
    if path.suffix == ".parquet":
        check_parquet_size(path)
        return pd.read_parquet(path)
    if path.suffix == ".csv":
        return unescape_formulas(pd.read_csv(path, dtype=dict.fromkeys(TEXT_COLUMNS, "str")))
    return _read_json_lines(path)


def _read_prediction_file(path: Path) -> pd.DataFrame:
    check_user_file(path, MAX_TABLE_BYTES, "rows of nightshift predict", may_be_empty=True)
    try:
        table = _read_table(path)
    except (OSError, ValueError, TypeError, RecursionError, ArrowException) as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path}: cannot be read as rows of nightshift predict ({cause}); predict again"
        ) from error
    missing = [column for column in REQUIRED_COLUMNS if column not in table]
    if missing and len(table):
        raise InputError(
            f"{path}: the column {missing[0]} is missing; name a file that nightshift predict wrote"
        )
    return table


def read_predictions(paths: Sequence[Path]) -> pd.DataFrame:
    """Return the rows of all files; of several rows of one image, the last.

    Raises:
        InputError: a file was not written by `nightshift predict`, there is no row, or the rows
            hold no attribute to compare.
    """
    table = pd.concat([_read_prediction_file(path) for path in paths], ignore_index=True)
    if table.empty:
        names = ", ".join(map(str, paths))
        raise InputError(f"{names}: no rows; nothing was predicted")
    table = table.drop_duplicates("path", keep="last").reset_index(drop=True)
    if not any(name in table for name in list_compared_attributes()):
        raise InputError(
            f"{paths[0]}: holds no attribute to compare; predict with --attributes all"
        )
    return table


def _check_model(rows: pd.DataFrame, reference: ReferenceProfile, origin: str) -> None:
    """Raise `InputError` if another model predicted any row."""
    others = sorted(set(rows["model"].dropna().astype(str)) - {reference.run_id})
    if others:
        raise InputError(
            f"{origin}: predicted by the model of run {others[0]}, not of {reference.run_id}; "
            "name the model that predicted them"
        )


def _read_membership(
    slice_names: pd.Series, reference: ReferenceProfile, origin: str
) -> pd.DataFrame:
    """Return which slices admit each image: one boolean column for each slice of the model.

    Raises:
        InputError: a row names a slice that the model does not have.
    """
    membership = slice_names.astype("object").str.get_dummies(sep=SLICE_SEPARATOR).astype(bool)
    unknown = membership.columns.difference(list(reference.rules))
    if len(unknown):
        raise InputError(
            f"{origin}: the model has no slice {unknown[0]!r}; name the model that predicted them"
        )
    membership = membership.reindex(columns=list(reference.rules), fill_value=False)
    return membership.add_prefix(SLICE_COLUMN_PREFIX)


def build_traffic(rows: pd.DataFrame, reference: ReferenceProfile, origin: str) -> ArrivedTraffic:
    """Return rows without errors as traffic, with a column `declined` of 0 and 1.

    Args:
        rows: rows of images that could be read.
        reference: the data of the model.
        origin: where the rows come from, as the error message names it.

    Raises:
        InputError: another model predicted the rows.
    """
    _check_model(rows, reference, origin)
    unknown = pd.Series(None, index=rows.index, dtype="object")
    groups = rows.get("group", unknown).tolist()
    capture_times = rows.get("captured_at", unknown).tolist()
    units, basis = assign_units(groups, capture_times)
    is_declined = rows["decision"] == Decision.DECLINE
    table = pd.DataFrame({"unit": units, "declined": is_declined.astype(float).to_numpy()})
    for name in list_compared_attributes():
        if name in rows:
            table[name] = pd.to_numeric(rows[name], errors="coerce").to_numpy()
    membership = _read_membership(rows["slices"].fillna(""), reference, origin)
    return ArrivedTraffic(pd.concat([table, membership.reset_index(drop=True)], axis=1), basis)
