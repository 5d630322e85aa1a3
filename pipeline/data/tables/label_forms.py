"""Labels of the rows of a table, in whichever form it holds them: one for each row, or a reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.contracts import InputError
from pipeline.data.reading.image_record import ReadOptions
from pipeline.data.tables.class_columns import (
    find_class_columns,
    join_names,
    read_class_columns,
    split_names,
    stack_numbers,
)
from pipeline.data.tables.label_cells import read_box_classes, read_label_cells
from pipeline.data.tables.table_files import TableColumns, convert_to_text

SEVERAL_LABELS_SHARE = 0.1
"""Share of labeled rows with several labels up to which they are exceptions among class columns,
which are rejected one by one."""
NO_LABEL_REASON = "no label"
NEGATIVE_REASON = "a negative label: the image does not show the class"
REPEATED_REASON = "a further label of an image that is listed before"
_EXAMPLES = 3
_CONFIDENCE_NAMES = ("confidence", "score", "is_present", "present", "verified")


@dataclass(frozen=True)
class RowLabels:
    """The labels of a table.

    Attributes:
        labels: label of each row, or None.
        reasons: reason for each row that is rejected for its label, by its number.
    """

    labels: list[str | None]
    reasons: dict[int, str]


def fold_class_columns(columns: TableColumns, label: str | None) -> TableColumns:
    """Return the table with one column of classes in place of exclusive columns of 0 and 1.

    The new column has the joined names of the others. A cell is a class, None, or a tuple of
    several classes. Cells of a class with boxes become the class.

    Args:
        columns: values by column name.
        label: `ingest.label`. It may name the columns; any other name leaves the table as it is.
    """
    columns = {name: read_box_classes(values) for name, values in columns.items()}
    names = split_names(label, columns)
    if not names and label is None:
        found = find_class_columns(columns)
        names = found.names if found is not None and found.is_exclusive else ()
    return _fold_columns(columns, names)


def fold_several_columns(columns: TableColumns) -> tuple[TableColumns, str | None]:
    """Return the table with its columns of 0 and 1 as several labels, and the new column or None.

    It is for tables without any other label.
    """
    found = find_class_columns(columns)
    if found is None:
        return columns, None
    return _fold_columns(columns, found.names), join_names(found.names)


def _fold_columns(columns: TableColumns, names: Sequence[str]) -> TableColumns:
    numbers = stack_numbers(columns, names)
    if numbers is None:
        return columns
    folded: TableColumns = {}
    cells = read_class_columns(numbers, names)
    for name, values in columns.items():
        if name not in names:
            folded[name] = values
        elif name == names[0]:
            folded[join_names(names)] = [
                tuple(cell) if len(cell) > 1 else next(iter(cell), None) for cell in cells
            ]
    return folded


def read_row_labels(
    columns: TableColumns, names: tuple[str, str | None], options: ReadOptions, path: Path
) -> RowLabels:
    """Return the label of each row of a table.

    Args:
        columns: values by column name.
        names: column of file names, and column of labels.
        options: read options; `several_labels` says what becomes of an image with several labels.
        path: the table, for the error message.

    Raises:
        InputError: images have several labels, and the options do not say which one counts.
    """
    file, label = names
    values = columns.get(str(label), [None] * len(columns[file]))
    cells = read_label_cells(values)
    if not options.is_label_required:
        return RowLabels([cell[0] if len(cell) == 1 else None for cell in cells], {})
    reasons = _reject_negatives(columns, file)
    several = {row: cell for row, cell in enumerate(cells) if len(cell) > 1 and row not in reasons}
    labeled = sum(map(bool, cells))
    is_by_columns = any(isinstance(value, tuple) for value in values)
    is_exception = is_by_columns and len(several) <= SEVERAL_LABELS_SHARE * labeled
    if several and not is_exception and options.several_labels == "error":
        raise InputError(_explain_several(path, columns[file], several, labeled, str(label)))
    labels: list[str | None] = []
    for row, cell in enumerate(cells):
        is_kept = len(cell) == 1 or (len(cell) > 1 and options.several_labels in ("first", "keep"))
        labels.append(_select_label(cell, options) if is_kept else None)
        if row not in reasons and not is_kept:
            reasons[row] = _explain_row(cell)
    reasons |= _reject_repeated(columns[file], labels, reasons, options, path)
    return RowLabels(labels, reasons)


def _select_label(cell: list[str], options: ReadOptions) -> str:
    return " ".join(cell) if options.several_labels == "keep" else cell[0]


def _explain_row(cell: list[str]) -> str:
    return "several labels" if cell else NO_LABEL_REASON


def _reject_negatives(columns: TableColumns, file: str) -> dict[int, str]:
    """Return the rows whose confidence is 0, where a table lists images more than once."""
    names = [name for name in columns if name.strip().lower() in _CONFIDENCE_NAMES]
    files = [value for value in columns[file] if value]
    if not names or len(set(map(str, files))) == len(files):
        return {}
    texts = list(map(convert_to_text, columns[names[0]]))
    return {
        row: NEGATIVE_REASON
        for row, text in enumerate(texts)
        if text in ("0", "0.0", "-1", "false", "False")
    }


def _reject_repeated(
    files: Sequence[Any],
    labels: list[str | None],
    rejected: dict[int, str],
    options: ReadOptions,
    path: Path,
) -> dict[int, str]:
    """Return the rows that give an image a label beside the one that it has.

    Raises:
        InputError: there are such rows, and the options do not say which label counts.
    """
    rows_by_file: dict[str, list[int]] = defaultdict(list)
    for row, (file, label) in enumerate(zip(files, labels, strict=True)):
        if file and label is not None and row not in rejected:
            rows_by_file[str(file)].append(row)
    differing = {}
    for file, rows in rows_by_file.items():
        if len({labels[row] for row in rows}) > 1:
            differing[file] = rows
    if differing and options.several_labels in ("error", "keep"):
        cells = {
            rows[0]: list(dict.fromkeys(str(labels[row]) for row in rows))
            for rows in differing.values()
        }
        raise InputError(_explain_several(path, files, cells, len(rows_by_file), "label"))
    reasons = {}
    for rows in differing.values():
        for row in rows if options.several_labels == "drop" else rows[1:]:
            reasons[row] = "several labels" if options.several_labels == "drop" else REPEATED_REASON
    return reasons


def _explain_several(
    path: Path, files: Sequence[Any], several: dict[int, list[str]], labeled_count: int, label: str
) -> str:
    examples = []
    for row, cell in list(several.items())[:_EXAMPLES]:
        examples.append(f"{files[row]} has {' and '.join(cell[:4])}")
    return (
        f"{path}: {len(several):,} of {labeled_count:,} labeled images have several labels in "
        f"{label} ({'; '.join(examples)}); a classifier of one label for each image is trained "
        "here. Write ingest.multi: drop to leave these images out, ingest.multi: first to keep "
        "the first label of each, or name another column in ingest.label"
    )
