"""Inference of columns: pipeline/data/tables/column_inference.py."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.data.layout.image_index import ImageIndex
from pipeline.data.tables.column_inference import infer_columns

FILES = [f"img/{n}.jpg" for n in range(20)]
CLASSES = ["cat", "dog"] * 10
OTHERS = ["bird"] * 10
NUMBERS = list(range(20))


@pytest.mark.parametrize(
    ("columns", "file", "label"),
    [
        ({"file_name": FILES, "label": CLASSES}, "file_name", "label"),
        ({"Image Path": FILES, "Class": CLASSES}, "Image Path", "Class"),
        ({"photo": FILES, "class": CLASSES}, "photo", "class"),
        ({"bild": FILES, "art": CLASSES, "nr": list(map(str, NUMBERS))}, "bild", "art"),
        (
            {"id": NUMBERS, "image_url": [f"https://x.org/{n}.png?w=9" for n in NUMBERS]},
            "image_url",
            None,
        ),
        ({"image_id": list("abcdefghijklmnopqrst"), "path": FILES, "dx": CLASSES}, "path", "dx"),
        ({"a": CLASSES, "b": CLASSES, "f": FILES}, "f", "a"),  # two columns that say the same
        ({"a": CLASSES, "b": CLASSES[10:] + OTHERS, "f": FILES}, "f", None),  # two candidates
        ({"camera": CLASSES, "f": FILES}, "f", None),  # a group, not the label
        ({"a": [None] * 20}, None, None),
        ({}, None, None),
    ],
)
def test_file_and_label_are_inferred(
    columns: dict[str, list[Any]], file: str | None, label: str | None
) -> None:
    inferred = infer_columns(columns)
    assert (inferred.file, inferred.label) == (file, label)


def test_split_and_time_are_inferred_from_name_and_values() -> None:
    inferred = infer_columns(
        {
            "file": FILES,
            "label": CLASSES,
            "fold": NUMBERS,
            "subset": ["train", "VALID"] * 10,
            "runtime": list(map(str, NUMBERS)),
            "date_taken": ["2024-05-31"] * 20,
        }
    )
    assert (inferred.split, inferred.time) == ("subset", "date_taken")


def test_names_without_suffix_are_compared_with_the_images() -> None:
    columns = {"id": ["0001", " x/0002 ", "0003"], "breed": ["cat", "dog", "cat"]}
    assert infer_columns(columns).file is None
    assert infer_columns(columns, ImageIndex(["0001.jpg", "0002.jpg"])).file == "id"


def test_values_are_stripped() -> None:
    assert infer_columns({"File": [" a.jpg ", "b.jpg"]}).file == "File"
