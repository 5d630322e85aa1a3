"""Labels of the rows of a table: pipeline/data/tables/label_forms.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.data.reading.image_record import ReadOptions
from pipeline.data.tables.label_forms import (
    NEGATIVE_REASON,
    NO_LABEL_REASON,
    fold_class_columns,
    fold_several_columns,
    read_row_labels,
)

TABLE = Path("train.csv")
FILES = [f"{n}.jpg" for n in range(4)]


def _read(
    columns: dict[str, list[str | None]], several_labels: str = "error", label: str = "label"
) -> tuple[list[str | None], dict[int, str]]:
    table = {"file": FILES, **columns}
    options = ReadOptions(several_labels=several_labels)
    found = read_row_labels(table, ("file", label), options, TABLE)
    return found.labels, found.reasons


def test_several_labels_stop_with_examples_and_the_line_to_write() -> None:
    cells: dict[str, list[str | None]] = {"label": ["a", "b", "a|b", None]}
    with pytest.raises(InputError) as error:
        _read(cells)
    assert all(part in str(error.value) for part in ("2.jpg", "a and b", "ingest.multi: drop"))
    assert _read(cells, "drop") == (
        ["a", "b", None, None],
        {2: "several labels", 3: NO_LABEL_REASON},
    )
    assert _read(cells, "first")[0] == ["a", "b", "a", None]
    assert _read(cells, "keep")[0] == ["a", "b", "a b", None]


def test_labels_in_several_rows_stop_too() -> None:
    files: list[str | None] = ["0.jpg", "0.jpg", "1.jpg", "1.jpg"]
    table: dict[str, list[str | None]] = {"file": files, "label": ["a", "b", "b", "b"]}
    with pytest.raises(InputError, match=r"0\.jpg has a and b"):
        _read(table)
    _, reasons = _read(table, "drop")
    assert set(reasons) == {0, 1}
    labels, reasons = _read(table, "first")
    assert labels[0] == "a"
    assert set(reasons) == {1}


def test_negative_rows_are_no_labels() -> None:
    table: dict[str, list[str | None]] = {
        "file": ["0.jpg", "0.jpg", "1.jpg", "1.jpg"],
        "label": ["a", "b", "b", "a"],
        "Confidence": ["1", "0", "1", "0"],
    }
    labels, reasons = _read(table)
    assert [labels[0], labels[2]] == ["a", "b"]
    assert reasons == {1: NEGATIVE_REASON, 3: NEGATIVE_REASON}


def test_rows_with_no_class_or_several_are_exceptions_among_many() -> None:
    a: list[str | None] = [str(n % 2) for n in range(60)]
    b: list[str | None] = [str(1 - n % 2) for n in range(60)]
    a[0], b[0], a[2] = "0", "0", "1"
    table = fold_class_columns({"file": [f"{n}.jpg" for n in range(60)], "a": a, "b": b}, None)
    assert list(table) == ["file", "a, b"]
    found = read_row_labels(table, ("file", "a, b"), ReadOptions(), TABLE)
    assert found.reasons == {0: NO_LABEL_REASON, 2: "several labels"}
    assert found.labels[1:5:2] == ["a", "a"]
    assert found.labels[4] == "b"


def test_columns_are_folded_only_if_the_label_does_not_name_another() -> None:
    table = {"kind": ["cat", "dog"] * 10, "male": ["1", "0"] * 10, "female": ["0", "1"] * 10}
    assert list(fold_class_columns(table, None)) == ["kind", "male, female"]
    assert list(fold_class_columns(table, "male, female")) == ["kind", "male, female"]
    assert fold_class_columns(table, "male") == table
    assert fold_class_columns(table, "kind") == table


def test_columns_that_are_not_exclusive_stop() -> None:
    rows = [(n % 2, n // 2 % 2, n // 4 % 2) for n in range(24)]
    table: dict[str, list[str | None]] = {"file": [f"{n}.jpg" for n in range(24)]}
    for place, name in enumerate(("car", "person", "dog")):
        table[name] = [str(row[place]) for row in rows]
    assert fold_class_columns(table, None) == table
    folded, label = fold_several_columns(table)
    assert label == "car, person, dog"
    with pytest.raises(InputError, match="12 of 21 labeled images have several labels"):
        read_row_labels(folded, ("file", label), ReadOptions(), TABLE)
