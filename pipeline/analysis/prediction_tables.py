"""The tables and the array of an analysis, read and checked; every fault is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from numpy.typing import NDArray

from pipeline.contracts import InputError
from pipeline.data.reading.image_record import parse_datetime, suggest_name
from pipeline.storage.user_files import (
    MAX_MODEL_BYTES,
    MAX_TABLE_BYTES,
    check_parquet_size,
    check_user_file,
)

REQUIRED_COLUMNS = ("image_id", "path", "label")
RESERVED_COLUMNS = (*REQUIRED_COLUMNS, "fold", "group", "captured_at")
# How far the probabilities of one image may be from adding up to 1.
PROBABILITY_SUM_TOLERANCE = 1e-3
# Decimals beyond which rounding moves no sum of probabilities noticeably.
MAX_ROUNDED_DECIMALS = 6
MAX_METADATA_VALUE = 1e30
"""Larger numbers of a metadata column are taken as unknown: their squares are not finite."""
MAX_SCORE = 1e6
"""Largest logit; exp() of a difference of a hundred is zero already."""
TEXT_COLUMN_TYPES = dict.fromkeys((*REQUIRED_COLUMNS, "group"), str)


def _read_table(path: Path, description: str, required_columns: tuple[str, ...]) -> pd.DataFrame:
    """Return a CSV or Parquet file with the required columns; its ids are unique text."""
    check_user_file(path, MAX_TABLE_BYTES, description)
    try:
        if path.suffix == ".parquet":
            check_parquet_size(path)
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(
                path,
                dtype=TEXT_COLUMN_TYPES,
                keep_default_na=False,
                na_values=[""],
                encoding="utf-8-sig",
            )
    except (OSError, ValueError, OverflowError, pyarrow.ArrowException) as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    for column in required_columns:
        if column not in table.columns:
            raise InputError(
                f"{path}: no column {column!r}; "
                f"{suggest_name(column, list(map(str, table.columns)))}"
            )
        if table[column].isna().any():
            row = int(np.flatnonzero(table[column].isna())[0])
            raise InputError(f"{path}: row {row + 1} has no {column}; fill it in or remove the row")
    if table.empty:
        raise InputError(f"{path}: holds no row")
    table = table.assign(**{c: table[c].astype(str) for c in required_columns})
    table = _replace_infinite_values(table)
    duplicate_ids = table["image_id"][table["image_id"].duplicated()]
    if len(duplicate_ids):
        raise InputError(f"{path}: image_id {duplicate_ids.iloc[0]!r} is in more than one row")
    return table.reset_index(drop=True)


def _replace_infinite_values(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose infinite metadata are unknown: no condition can hold them."""
    is_score = table.columns.astype(str).str.startswith(("prob_", "logit_"))
    numbers = table.loc[:, ~is_score].select_dtypes("float")
    with np.errstate(invalid="ignore"):
        return table.assign(**numbers.where(np.abs(numbers) < MAX_METADATA_VALUE))


def _parse_times(path: Path, column: pd.Series[Any]) -> pd.Series[Any]:
    times = []
    for value in column:
        time = None if pd.isna(value) else parse_datetime(value)
        times.append(time)
        if time is None and not pd.isna(value):
            raise InputError(
                f"{path}: captured_at {value!r} is no date and time; write 2026-03-01 22:40:00"
            )
    return pd.Series(times, dtype="datetime64[us]")


def _parse_folds(path: Path, table: pd.DataFrame) -> NDArray[np.intp]:
    fold = pd.to_numeric(table["fold"], errors="coerce")
    if fold.isna().any() or (fold % 1 != 0).any() or (fold < 0).any():
        raise InputError(f"{path}: fold must be a whole number from 0 in every row, or be left out")
    if fold.nunique() < 2:
        raise InputError(
            f"{path}: all rows are in one fold; give at least two, or leave the column out"
        )
    if "group" in table:
        spread = fold.groupby(table["group"]).nunique()
        if (spread > 1).any():
            raise InputError(
                f"{path}: group {spread.idxmax()!r} is in more than one fold; a group stays "
                "together"
            )
    return fold.to_numpy(np.intp)


def read_image_table(path: Path) -> tuple[pd.DataFrame, NDArray[np.intp] | None]:
    """Return the table of images, and the fold of each row if it has that column.

    image_id, path, label and group are text, captured_at is a time; other columns are kept.

    Raises:
        InputError: the table is invalid.
    """
    table = _read_table(path, "the table of images", REQUIRED_COLUMNS)
    if "captured_at" in table:
        table["captured_at"] = _parse_times(path, table["captured_at"])
    if "group" in table:
        # An image without a group is a group by itself.
        image_groups = pd.Series("image " + table["image_id"])
        table["group"] = table["group"].where(table["group"].notna(), image_groups).astype(str)
    fold = _parse_folds(path, table) if "fold" in table else None
    return table.drop(columns="fold", errors="ignore"), fold


def _find_score_columns(path: Path, table: pd.DataFrame) -> tuple[list[str], str]:
    names = pd.Index(list(map(str, table.columns)))
    probabilities = sorted(names[names.str.startswith("prob_")])
    logits = sorted(names[names.str.startswith("logit_")])
    if probabilities and logits:
        raise InputError(f"{path}: both prob_ and logit_ columns; keep one kind")
    columns = probabilities or logits
    if not columns:
        raise InputError(f"{path}: no column prob_<class> or logit_<class>")
    if len(columns) < 2:
        raise InputError(f"{path}: {columns[0]} is the only class; a classifier has at least two")
    return columns, "prob_" if probabilities else "logit_"


def find_decimals(scores: NDArray[np.float64]) -> int | None:
    """Return the decimals to which all scores are rounded; None above six.

    >>> find_decimals(np.array([0.25, 0.5])), find_decimals(np.array([1 / 3]))
    (2, None)
    """
    for decimals in range(MAX_ROUNDED_DECIMALS + 1):
        if np.abs(scores - scores.round(decimals)).max() < 1e-9:
            return decimals
    return None


def _normalize_rounded(
    scores: NDArray[np.float64], add_note: Callable[[str], None]
) -> NDArray[np.float64]:
    """Return probabilities that add up to 1 where rounding explains that they do not.

    Rounding moves each probability by half a unit of its last digit at most. One that is rounded
    to 0 becomes a quarter of this unit, its mean.
    """
    decimals = find_decimals(scores)
    if decimals is None or decimals == 0:
        return scores
    unit = 10.0**-decimals
    total = scores.sum(1)
    is_rounded = (np.abs(total - 1) <= scores.shape[1] * unit / 2 + 1e-9) & (scores >= 0).all(1)
    off = is_rounded & (np.abs(total - 1) > PROBABILITY_SUM_TOLERANCE)
    if not off.any():
        return scores
    add_note(
        f"probabilities are rounded to {decimals} decimals: those of {int(off.sum())} of "
        f"{len(scores)} images did not add up to 1 and were normalized"
    )
    filled = np.maximum(scores, unit / 4)
    normalized = filled / filled.sum(1, keepdims=True)
    return np.where(is_rounded[:, None], normalized, scores)


def read_predictions(
    path: Path, add_note: Callable[[str], None] = lambda line: None
) -> tuple[list[str], list[str], NDArray[np.float32]]:
    """Return image ids [N], sorted class names [C] and logits float32 [N, C].

    Logits of probabilities are their logarithms. Rounded probabilities are normalized.

    Args:
        path: the table.
        add_note: called with a line if probabilities were normalized.

    Raises:
        InputError: scores are missing, negative or do not add up to 1.
    """
    table = _read_table(path, "the table of predictions", ("image_id",))
    columns, kind = _find_score_columns(path, table)
    try:
        scores = table[columns].to_numpy(dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}: a {kind} column holds a value that is no number ({error})"
        ) from error
    is_usable = np.isfinite(scores) & (np.abs(scores) <= MAX_SCORE)
    if not is_usable.all():
        row = int(np.flatnonzero(~is_usable.all(1))[0])
        raise InputError(
            f"{path}: image {table['image_id'][row]!r} has a {kind} that is missing, not finite, "
            f"or beyond {MAX_SCORE:,.0f}"
        )
    if kind == "prob_":
        scores = _normalize_rounded(scores, add_note)
        total = scores.sum(1)
        off = (np.abs(total - 1) > PROBABILITY_SUM_TOLERANCE) | (scores < 0).any(1)
        if off.any():
            row = int(np.flatnonzero(off)[0])
            raise InputError(
                f"{path}: the probabilities of image {table['image_id'][row]!r} add up to "
                f"{total[row]:.4g}, not to 1 "
                f"({int(off.sum())} of {len(table)} rows); columns prob_ hold shares, logits go "
                "into logit_ columns"
            )
        scores = np.log(np.maximum(scores, 1e-12))
    names = [column.removeprefix(kind) for column in columns]
    return table["image_id"].tolist(), names, np.asarray(scores, np.float32)


def _convert_to_float32(array: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # a value that is too large becomes infinite
        return np.asarray(array, dtype=np.float32)


def read_embeddings(path: Path, row_count: int) -> NDArray[np.float32]:
    """Return embeddings float32 [row_count, D].

    Raises:
        InputError: the shape or dtype is wrong, or a value is not finite.
    """
    check_user_file(path, MAX_MODEL_BYTES, "the embeddings")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError) as error:
        raise InputError(
            f"{path}: cannot be read as an .npy array ({str(error).splitlines()[0]})"
        ) from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != "f":
        form = (
            f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else "an archive"
        )
        raise InputError(f"{path}: a float array [rows, D] is needed, this is {form}")
    if len(array) != row_count:
        raise InputError(
            f"{path}: has {len(array)} rows, the predictions have {row_count}; one row for each, "
            "in their order"
        )
    values = _convert_to_float32(array)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(1))[0])
        raise InputError(f"{path}: row {row} is not finite, or too large for 32 bits")
    return values


def align_predictions(
    images: pd.DataFrame,
    prediction_ids: list[str],
    class_names: list[str],
    paths: tuple[Path, Path],
) -> NDArray[np.intp]:
    """Return the row of the predictions for each image.

    Args:
        images: the table of images.
        prediction_ids: image ids of the predictions.
        class_names: classes of the predictions.
        paths: the two files, for the error message.

    Raises:
        InputError: ids or classes of the two do not match.
    """
    index = pd.Index(prediction_ids)
    rows = index.get_indexer(pd.Index(images["image_id"]))
    missing_ids = images["image_id"][rows < 0]
    if len(missing_ids):
        raise InputError(
            f"{paths[1]}: lacks {len(missing_ids)} of the {len(images)} images of {paths[0]}, "
            f"first {missing_ids.iloc[0]!r}"
        )
    if len(prediction_ids) > len(images):
        surplus = sorted(set(prediction_ids) - set(images["image_id"]))
        raise InputError(
            f"{paths[0]}: lacks {len(surplus)} of the {len(prediction_ids)} images of {paths[1]}, "
            f"first {surplus[0]!r}"
        )
    unknown = images["label"][~images["label"].isin(class_names)]
    if len(unknown):
        hint = suggest_name(str(unknown.iloc[0]), class_names)
        raise InputError(f"{paths[0]}: label {unknown.iloc[0]!r} is no class of {paths[1]}; {hint}")
    return rows
