"""Labels that a table holds in one column for each class: one-hot columns and probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROW_SAMPLE_SIZE = 2000
"""Rows that decide whether columns hold one class each; enough for a share of one in a hundred."""
MAX_CLASS_COLUMNS = 400
"""Adjacent columns that are searched; the time grows with the square of their number."""
EXCLUSIVE_SHARE = 0.9
"""Share of labeled rows with exactly one class from which columns count as one label."""
MIN_ATTRIBUTE_COLUMNS = 3
"""Columns of 0 and 1 from which they count as several labels, if no other column is the label."""
_SUM_TOLERANCE = 0.02
"""Largest distance of a row's probabilities from a sum of 1; they may be rounded."""
_SEPARATOR = ", "
_TRUTH_TEXTS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}


@dataclass(frozen=True)
class ClassColumns:
    """Adjacent columns that hold one class each.

    Attributes:
        names: the columns.
        is_exclusive: whether most rows have exactly one class.
    """

    names: tuple[str, ...]
    is_exclusive: bool


def join_names(names: Sequence[str]) -> str:
    """Return the setting `ingest.label` that names several columns.

    >>> join_names(["rust", "scab"])
    'rust, scab'
    """
    return _SEPARATOR.join(names)


def split_names(label: str | None, columns: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """Return the columns that `ingest.label` names; none if it names a single one or no column.

    >>> split_names("rust, scab", {"rust": [], "scab": [], "file": []})
    ('rust', 'scab')
    """
    if not label or label in columns:
        return ()
    names = tuple(part.strip() for part in label.split(_SEPARATOR.strip()))
    return names if len(names) > 1 and set(names) <= set(columns) else ()


def convert_to_numbers(values: Sequence[Any]) -> NDArray[np.float64] | None:
    """Return the values as numbers, NaN for empty ones; None if any is no number from -1 to 1.

    CelebA and others write -1 for absent; yes, no, true and false count as 1 and 0.
    """
    numbers = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if value is None or value == "":
            continue
        try:
            number = _TRUTH_TEXTS.get(str(value).strip().lower())
            number = float(value) if number is None else number
        except (TypeError, ValueError):
            return None
        if math.isnan(number):
            continue
        if not -1 <= number <= 1:
            return None
        numbers[row] = number
    return numbers


def stack_numbers(
    columns: Mapping[str, Sequence[Any]], names: Sequence[str]
) -> NDArray[np.float64] | None:
    """Return the numbers of several columns, [rows, columns]; None if one holds other values."""
    stacked = []
    for name in names:
        numbers = convert_to_numbers(columns[name])
        if numbers is None:
            return None
        stacked.append(numbers)
    return np.column_stack(stacked) if stacked else None


def find_class_columns(
    columns: Mapping[str, Sequence[Any]], used: Sequence[str | None] = ()
) -> ClassColumns | None:
    """Return the columns that hold one class each, or None.

    Adjacent columns count if they hold numbers and exactly one is 1, or that are shares of 1.
    Without such columns, three or more adjacent columns of 0 and 1 count as several labels.

    Args:
        columns: values by column name.
        used: columns with another meaning, such as the file.
    """
    exclusive: list[tuple[str, ...]] = []
    several: list[tuple[str, ...]] = []
    for names, numbers in _list_number_blocks(columns, used):
        part = _find_exclusive_part(numbers)
        if part:
            exclusive.append(names[part[0] : part[1]])
        elif len(names) >= MIN_ATTRIBUTE_COLUMNS and set(np.unique(numbers)) <= {-1.0, 0.0, 1.0}:
            several.append(names)
    for blocks, is_exclusive in ((exclusive, True), (several, False)):
        blocks.sort(key=len, reverse=True)
        if blocks and (len(blocks) == 1 or len(blocks[0]) > len(blocks[1])):
            return ClassColumns(blocks[0], is_exclusive)
    return None


def _list_number_blocks(
    columns: Mapping[str, Sequence[Any]], used: Sequence[str | None]
) -> list[tuple[tuple[str, ...], NDArray[np.float64]]]:
    """Return the runs of adjacent columns with numbers from -1 to 1, as a sample of their rows."""
    blocks: list[tuple[list[str], list[NDArray[np.float64]]]] = [([], [])]
    for name, values in columns.items():
        step = max(1, len(values) // ROW_SAMPLE_SIZE)
        numbers = None if name in used else convert_to_numbers(values[::step])
        if numbers is None or np.isnan(numbers).all():
            blocks.append(([], []))
        else:
            blocks[-1][0].append(name)
            blocks[-1][1].append(np.nan_to_num(numbers))
    return [
        (tuple(names), np.column_stack(numbers))
        for names, numbers in blocks
        if 2 <= len(names) <= MAX_CLASS_COLUMNS
    ]


def _find_exclusive_part(numbers: NDArray[np.float64]) -> tuple[int, int] | None:
    """Return start and end of the most columns of which each row has exactly one, or None."""
    is_binary = set(np.unique(numbers)) <= {-1.0, 0.0, 1.0}
    weights = (numbers > 0).astype(float) if is_binary else numbers
    sums = np.concatenate([np.zeros((len(numbers), 1)), weights.cumsum(axis=1)], axis=1)
    width = numbers.shape[1]
    if _is_exclusive(sums[:, width] - sums[:, 0], weights, EXCLUSIVE_SHARE):
        return 0, width
    for size in range(width - 1, MIN_ATTRIBUTE_COLUMNS - 1, -1):
        for start in range(width - size + 1):
            end = start + size
            if _is_exclusive(sums[:, end] - sums[:, start], weights[:, start:end], 1.0):
                return start, end
    return None


def _is_exclusive(
    totals: NDArray[np.float64], weights: NDArray[np.float64], required_share: float
) -> bool:
    """Return whether enough rows sum to 1, most with a winner, and two classes or more win.

    A part of adjacent columns must hold one class in every row, or it is so by chance.
    """
    tolerance = _SUM_TOLERANCE if (weights % 1).any() else 1e-9
    labeled = totals > tolerance
    if (weights < 0).any() or not labeled.any():
        return False
    hits = labeled & (np.abs(totals - 1) <= tolerance)
    known_count = len(totals) if required_share == 1 else labeled.sum()
    if hits.sum() < required_share * known_count or hits.sum() * 2 < len(totals):
        return False
    # Submissions of contests hold equal shares, so that no class wins.
    top_two = np.sort(weights[hits], axis=1)[:, -2:]
    winners = weights[hits].argmax(axis=1)[top_two[:, 1] > top_two[:, 0]]
    return bool(len(winners) * 2 > hits.sum() and len(np.unique(winners)) >= 2)


def read_class_columns(numbers: NDArray[np.float64], names: Sequence[str]) -> list[list[str]]:
    """Return the classes of each row: none, one or several.

    Args:
        numbers: values of the columns, [rows, columns]; NaN if empty.
        names: the columns, which are the classes.
    """
    filled = np.nan_to_num(numbers)
    if set(np.unique(filled)) <= {-1.0, 0.0, 1.0}:
        is_class = filled > 0
    else:  # shares: the largest is the class, and equal ones are no decision
        is_class = (filled == filled.max(axis=1, keepdims=True)) & (filled > 0)
    return [[names[int(column)] for column in np.flatnonzero(row)] for row in is_class]
