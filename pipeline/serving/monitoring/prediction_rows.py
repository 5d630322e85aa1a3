"""The rows of `nightshift predict`, read again, as traffic to be compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import InputError
from pipeline.slices.tracking.reference_profile import (
    SLICE_COLUMN_PREFIX,
    ReferenceProfile,
    assign_units,
    list_compared_attributes,
)
from pipeline.slices.tracking.traffic_comparison import ArrivedTraffic

REQUIRED_COLUMNS = ("path", "predicted", "probability", "decision", "slices")
TEXT_COLUMNS = ("path", "predicted", "decision", "slices", "group", "captured_at", "error")


def _read_json_lines(path: Path) -> pd.DataFrame:
    """JSON lines; a last line that is still being written is left for the next time."""
    text = path.read_text(encoding="utf-8")
    whole = text if text.endswith("\n") else text[: text.rfind("\n") + 1]
    return pd.DataFrame([json.loads(line) for line in whole.splitlines() if line.strip()])


def _read_table(path: Path) -> pd.DataFrame:
    if path.suffix == ".jsonl":
        return _read_json_lines(path)
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".csv":
        return pd.read_csv(path, dtype=dict.fromkeys(TEXT_COLUMNS, "str"))
    raise InputError(f"{path}: rows of nightshift predict end in .jsonl, .csv or .parquet")


def _read_prediction_file(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path}: no such file; name what nightshift predict wrote")
    try:
        table = _read_table(path)
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise InputError(
            f"{path}: cannot be read as rows of nightshift predict ({why}); predict again"
        ) from error
    lacking = [column for column in REQUIRED_COLUMNS if column not in table]
    if lacking and len(table):
        raise InputError(
            f"{path}: lacks the column {lacking[0]}; name what nightshift predict wrote"
        )
    return table


def read_predictions(paths: Sequence[Path]) -> pd.DataFrame:
    """The rows of all files, the last one of each path; raises `InputError` where a file is none of `predict`, where
    there is no row, and where no row holds an attribute to compare."""
    table = pd.concat([_read_prediction_file(path) for path in paths], ignore_index=True)
    if table.empty:
        raise InputError(f"{', '.join(map(str, paths))}: no row in it; nothing was predicted")
    table = table.drop_duplicates("path", keep="last").reset_index(drop=True)
    if not any(name in table for name in list_compared_attributes()):
        raise InputError(
            f"{paths[0]}: holds no attribute to compare; predict with --attributes all"
        )
    return table


def _parse_slice_membership(
    slice_texts: pd.Series, reference: ReferenceProfile, origin: str
) -> dict[str, Any]:
    """Which slices each row lies in, bool by column. Raises `InputError` for slices of another model."""
    tags = {name: f"{name}: {reference.format_slice_rule(name)}" for name in reference.rules}
    inside = {name: _has_tag("; " + slice_texts + "; ", tag) for name, tag in tags.items()}
    told = ["; ".join(tags[n] for n in tags if inside[n][k]) for k in range(len(slice_texts))]
    strange = np.flatnonzero(slice_texts.to_numpy() != np.array(told, dtype=object))
    if len(strange):
        raise InputError(
            f"{origin}: knows the slice {slice_texts.iloc[strange[0]]!r}, the model does not; name its own model"
        )
    return {SLICE_COLUMN_PREFIX + name: mask for name, mask in inside.items()}


def _has_tag(slice_texts: pd.Series, tag: str) -> NDArray[np.bool_]:
    """Whether each text lists the tag."""
    return np.asarray(slice_texts.str.contains(f"; {tag}; ", regex=False), dtype=np.bool_)


def build_traffic(
    rows: pd.DataFrame, reference: ReferenceProfile, class_names: Sequence[str], origin: str
) -> ArrivedTraffic:
    """The readable rows as traffic, with `declined` (0 or 1). Raises `InputError` for rows that another model wrote."""
    unknown = sorted(set(rows["predicted"].dropna().astype(str)) - set(class_names))
    if unknown:
        raise InputError(
            f"{origin}: predicts {unknown[0]!r}, a class that the model does not know; name its own model"
        )
    groups, times = (
        rows[c].tolist() if c in rows else [None] * len(rows) for c in ("group", "captured_at")
    )
    unit, basis = assign_units([None if pd.isna(g) else g for g in groups], times)
    table = pd.DataFrame(
        {"unit": unit, "declined": (rows["decision"] == "decline").astype(float).to_numpy()}
    )
    values = {
        name: pd.to_numeric(rows[name], errors="coerce").to_numpy()
        for name in list_compared_attributes()
        if name in rows
    }
    inside = _parse_slice_membership(rows["slices"].fillna("").astype(str), reference, origin)
    return ArrivedTraffic(table.assign(**values, **inside), basis)
