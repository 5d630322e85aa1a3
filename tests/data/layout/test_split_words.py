"""Words for splits: pipeline/data/layout/split_words.py."""

from __future__ import annotations

import pytest

from pipeline.data.layout.split_words import (
    build_split_mapping,
    parse_split_words,
    parse_table_split,
)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training_Set", "train"),
        ("test1", "test"),
        ("cars_train", "train"),
        ("seg-test", "test"),
        ("trainset", "train"),
        ("trainImages", "train"),
        ("validation", "val"),
        ("trainval", "train"),
        ("train_test", None),
        ("tester", None),
        ("contest", None),
        ("valley", None),
    ],
)
def test_split_in_a_name(name: str, split: str | None) -> None:
    assert parse_split_words(name)[0] == split


@pytest.mark.parametrize(
    ("path", "split"),
    [("labels-test.csv", "test"), ("valid/_classes.csv", "val"), ("labels.csv", None)],
)
def test_split_of_a_table(path: str, split: str | None) -> None:
    assert parse_table_split(path) == split


@pytest.mark.parametrize(
    ("values", "splits"),
    [
        (["Training", "PublicTest", "PrivateTest"], ["train", "val", "test"]),
        (["0", "1", "2"], ["train", "val", "test"]),
        (["0", "1"], None),
        (["train", "cat"], None),
        ([], None),
    ],
)
def test_values_of_a_column(values: list[str], splits: list[str] | None) -> None:
    mapping = build_split_mapping(values)
    assert (list(mapping.values()) if mapping else None) == splits
