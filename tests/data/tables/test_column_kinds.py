"""What values may be: pipeline/data/tables/column_kinds.py."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.data.tables.column_kinds import (
    examine_classes,
    find_split_mapping,
    is_function_of,
    is_same_partition,
)


@pytest.mark.parametrize(
    ("values", "is_class"),
    [
        (["cat", "dog"] * 6, True),
        ([0, 1, 2] * 4, True),
        ([1.0, 2.0] * 6, True),
        (["1.5", "2.5"] * 6, False),
        (["cat"] * 12, False),
        ([f"u{n}" for n in range(12)], False),
        (["2024-05-01", "2024-05-02"] * 6, False),
        (["1-Mar-20", "2-Mar-20"] * 6, False),
        (["https://x.org/1", "https://x.org/2"] * 6, False),
        (["a.jpg", "b.jpg"] * 6, False),
        ([None] * 12, False),
    ],
)
def test_classes(values: list[Any], is_class: bool) -> None:
    assert (examine_classes(values, is_named=False) is not None) == is_class


@pytest.mark.parametrize(
    ("name", "values", "splits"),
    [
        ("data set", ["train", "VALID", "Test"], ["train", "val", "test"]),
        ("partition", ["0", "0", "0", "1", "2"], ["train", "val", "test"]),
        ("partition", ["0", "1", "1", "1", "2"], None),
        ("label", ["0", "0", "1", "2"], None),
        ("is_train", ["1", "0"], ["train", "test"]),
        ("is_valid", ["True", "False"], ["val", "train"]),
        ("fold", ["0", "1", "2", "3"], None),
        ("kind", ["train", "bus"], None),
    ],
)
def test_splits(name: str, values: list[str], splits: list[str] | None) -> None:
    mapping = find_split_mapping(name, values)
    found = [mapping[value] for value in dict.fromkeys(values)] if mapping else None
    assert found == splits


def test_partitions_are_compared_row_by_row() -> None:
    coarse, fine = ["a", "a", "b", None], ["1", "2", "3", "4"]
    assert is_function_of(coarse, fine)
    assert not is_function_of(fine, coarse)
    assert is_same_partition(["x", "x", "y"], [0, 0, 1])
    assert not is_same_partition([None], [None])
