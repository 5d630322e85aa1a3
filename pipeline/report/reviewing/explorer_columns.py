"""The columns that the image explorer filters by, small enough for every validation image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.attribute_values import get_period
from pipeline.domain.rule_columns import MAX_COLUMN_LEVELS, RESERVED_COLUMNS
from pipeline.report.sentences.number_format import format_plugin_name

LEVEL_COUNT = 48  # two for each bar of a histogram; one character holds a level
FIRST_CODE = 63  # of the characters that hold levels: one byte each, and safe in HTML
MISSING_CODE = "!"
OWN_FILTERS = (
    "Change",
    "Label",
    "Before",
    "After",
    "Slice",
    "Label in doubt",
    "Review",
    "Find",
    "Groups",
    "Sort",
)
PROBABILITY_COLUMNS = (
    "confidence",
    "label probability",
    "confidence after",
    "label probability after",
)
CLIPPED_QUANTILE = 0.005  # beyond it lie outliers, which would squeeze the bars of the rest
# A number with fewer values is a name, such as that of a shift or of a device.
MIN_SCALE_LEVELS = 12


def select_user_columns(images: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that came with the data; one named as a filter of ours is renamed.

    Args:
        images: the artifact, with or without further columns of the report.
    """
    names = {}
    for name in images.columns:
        if name not in RESERVED_COLUMNS | {"split"}:
            is_taken = name in OWN_FILTERS or name in PROBABILITY_COLUMNS
            names[name] = f"{name} (column)" if is_taken else str(name)
    return images[list(names)].rename(columns=names)


def build_scales(columns: Mapping[str, pd.Series[Any]]) -> list[dict[str, Any]]:
    """Return the columns of numbers for histograms.

    Args:
        columns: numbers by name, NaN for unknown; a probability lies in [0, 1].

    Returns:
        Each with `name`, `low` and `high` (values beyond count as the end) and `codes`, one
        character for each image. Columns with fewer than two values are left out.
    """
    scales = []
    for name, column in columns.items():
        values = column.to_numpy(dtype=float, na_value=np.nan)
        values = np.where(np.isfinite(values), values, np.nan)
        if len(np.unique(values[~np.isnan(values)])) < 2:
            continue
        low, high = _choose_range(name, values)
        scales.append(
            {
                "name": format_plugin_name(name),
                "low": _round_digits(low),
                "high": _round_digits(high),
                "codes": _encode_levels(values, low, high),
            }
        )
    return scales


def _choose_range(name: str, values: NDArray[np.float64]) -> tuple[float, float]:
    period = get_period(name)
    if period:
        return 0.0, period
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, [CLIPPED_QUANTILE, 1 - CLIPPED_QUANTILE]).tolist()
    return (low, high) if low < high else (float(known.min()), float(known.max()))


def _round_digits(value: float) -> float:
    return float(f"{value:.4g}")


def _encode_levels(values: NDArray[np.float64], low: float, high: float) -> str:
    is_missing = np.isnan(values)
    shares = np.where(is_missing, 0.0, (values - low) / (high - low))
    levels = np.clip(np.floor(shares * LEVEL_COUNT), 0, LEVEL_COUNT - 1).astype(int)
    codes = np.array([chr(FIRST_CODE + level) for level in range(LEVEL_COUNT)])[levels]
    return "".join(np.where(is_missing, MISSING_CODE, codes))


def select_scale_columns(table: pd.DataFrame) -> Iterator[str]:
    """Yield the columns of numbers that are measured rather than names."""
    for name in table.columns:
        column = table[name]
        is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        if is_number and column.nunique() >= MIN_SCALE_LEVELS:
            yield str(name)


def build_choices(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the columns of names: each with `name`, `values`, and `codes`, -1 for unknown.

    Columns of one value, of times, of numbers on a scale and of more than `MAX_COLUMN_LEVELS`
    names are left out.

    Args:
        table: the user's columns, one row for each image.
    """
    scales = set(select_scale_columns(table))
    choices = []
    for name in table.columns:
        column = table[name]
        is_time = pd.api.types.is_datetime64_any_dtype(column)
        if is_time or name in scales or not 2 <= column.nunique() <= MAX_COLUMN_LEVELS:
            continue
        codes, values = pd.factorize(column.astype("str").where(column.notna()), sort=True)
        choices.append(
            {"name": str(name), "values": list(map(str, values)), "codes": codes.tolist()}
        )
    return choices
