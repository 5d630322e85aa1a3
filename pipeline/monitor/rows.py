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
from pipeline.slicing.reference import PREFIX, Reference, compared, units
from pipeline.slicing.traffic import Traffic

NEEDED = ("path", "predicted", "probability", "decision", "slices")
TEXT = ("path", "predicted", "decision", "slices", "group", "captured_at", "error")


def _lines(path: Path) -> pd.DataFrame:
    """JSON lines; a last line that is still being written is left for the next time."""
    text = path.read_text(encoding="utf-8")
    whole = text if text.endswith("\n") else text[: text.rfind("\n") + 1]
    return pd.DataFrame([json.loads(line) for line in whole.splitlines() if line.strip()])


def _table(path: Path) -> pd.DataFrame:
    if path.suffix == ".jsonl":
        return _lines(path)
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".csv":
        return pd.read_csv(path, dtype=dict.fromkeys(TEXT, "str"))
    raise InputError(f"{path}: rows of nightshift predict end in .jsonl, .csv or .parquet")


def _one(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path}: no such file; name what nightshift predict wrote")
    try:
        table = _table(path)
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read as rows of nightshift predict ({why}); predict again") from error
    lacking = [column for column in NEEDED if column not in table]
    if lacking and len(table):
        raise InputError(f"{path}: lacks the column {lacking[0]}; name what nightshift predict wrote")
    return table


def read(paths: Sequence[Path]) -> pd.DataFrame:
    """The rows of all files, the last one of each path; raises `InputError` where a file is none of `predict`, where
    there is no row, and where no row holds an attribute to compare."""
    table = pd.concat([_one(path) for path in paths], ignore_index=True)
    if table.empty:
        raise InputError(f"{', '.join(map(str, paths))}: no row in it; nothing was predicted")
    table = table.drop_duplicates("path", keep="last").reset_index(drop=True)
    if not any(name in table for name in compared()):
        raise InputError(f"{paths[0]}: holds no attribute to compare; predict with --attributes all")
    return table


def _inside(text: pd.Series, reference: Reference, origin: str) -> dict[str, Any]:
    """Which slices each row lies in, bool by column. Raises `InputError` for slices of another model."""
    tags = {name: f"{name}: {reference.words(name)}" for name in reference.rules}
    inside = {name: _lists("; " + text + "; ", tag) for name, tag in tags.items()}
    told = ["; ".join(tags[n] for n in tags if inside[n][k]) for k in range(len(text))]
    strange = np.flatnonzero(text.to_numpy() != np.array(told, dtype=object))
    if len(strange):
        raise InputError(f"{origin}: knows the slice {text.iloc[strange[0]]!r}, the model does not; name its own model")
    return {PREFIX + name: mask for name, mask in inside.items()}


def _lists(text: pd.Series, tag: str) -> NDArray[np.bool_]:
    """Whether each text lists the tag."""
    return np.asarray(text.str.contains(f"; {tag}; ", regex=False), dtype=np.bool_)


def traffic_of(rows: pd.DataFrame, reference: Reference, classes: Sequence[str], origin: str) -> Traffic:
    """The readable rows as traffic, with `declined` (0 or 1). Raises `InputError` for rows that another model wrote."""
    unknown = sorted(set(rows["predicted"].dropna().astype(str)) - set(classes))
    if unknown:
        raise InputError(f"{origin}: predicts {unknown[0]!r}, a class that the model does not know; name its own model")
    groups, times = (rows[c].tolist() if c in rows else [None] * len(rows) for c in ("group", "captured_at"))
    unit, basis = units([None if pd.isna(g) else g for g in groups], times)
    table = pd.DataFrame({"unit": unit, "declined": (rows["decision"] == "decline").astype(float).to_numpy()})
    values = {name: pd.to_numeric(rows[name], errors="coerce").to_numpy() for name in compared() if name in rows}
    inside = _inside(rows["slices"].fillna("").astype(str), reference, origin)
    return Traffic(table.assign(**values, **inside), basis)
