"""Which column means what: pipeline/data/reading/column_inference.py."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.data.reading.column_inference import infer_columns

FILES = [f"img/{n}.jpg" for n in range(20)]
TWO = ["cat", "dog"] * 10


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"file_name": FILES, "label": TWO}, ("file_name", "label")),
        ({"Image Path": FILES, "Class": TWO}, ("Image Path", "Class")),
        ({"bild": FILES, "art": TWO, "nr": list(map(str, range(20)))}, ("bild", "art")),
        (
            {
                "id": list(range(20)),
                "image_url": [f"https://x.org/{n}.png?w=9" for n in range(20)],
                "y": TWO,
            },
            ("image_url", "y"),
        ),
        ({"image_id": list("abcdefghijklmnopqrst"), "path": FILES, "dx": TWO}, ("path", "dx")),
        ({"a": TWO, "b": TWO, "f": FILES}, ("f", None)),
        ({"a": [None] * 20}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_file_and_label(
    columns: dict[str, list[Any]], expected: tuple[str | None, str | None]
) -> None:
    found = infer_columns(columns)
    assert (found["file"], found["label"]) == expected


def test_split_and_time() -> None:
    found = infer_columns(
        {
            "file": FILES,
            "label": TWO,
            "fold": list(range(20)),
            "subset": ["train", "VALID"] * 10,
            "runtime": [str(n) for n in range(20)],
            "date_taken": ["2024-05-31"] * 20,
        }
    )
    assert (found["split"], found["time"]) == ("subset", "date_taken")


def test_files_without_a_suffix_are_known_by_the_images_that_are_there() -> None:
    columns = {"id": ["0001", " x/0002 ", "0003"], "breed": ["cat", "dog", "cat"]}
    assert infer_columns(columns)["file"] is None
    assert infer_columns(columns, {"0001", "0002"})["file"] == "id"
    assert infer_columns({"File": [" a.jpg ", "b.jpg"]})["file"] == "File"
