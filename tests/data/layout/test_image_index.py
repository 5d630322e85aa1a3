"""Images by name: pipeline/data/layout/image_index.py."""

from __future__ import annotations

import pytest

from pipeline.data.layout.image_index import ImageIndex, clean_listed_name

NAMES = ["images/a.jpg", "images/b.jpg", "b/b.png", "annotations/masks/a.png", "list.txt"]


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ("a", ["images/a.jpg"]),  # not its mask
        ("gs://bucket/x/a.jpeg?w=9", ["images/a.jpg"]),
        ("0123abcd-a.jpg", ["images/a.jpg"]),
        ("C:\\photos\\b.jpg", ["images/b.jpg", "b/b.png"]),
        ("c.jpg", []),
    ],
)
def test_images_are_found_by_name(listed: str, found: list[str]) -> None:
    assert ImageIndex(NAMES).find_by_name(listed) == found


def test_index_of_one_folder() -> None:
    index = ImageIndex(NAMES, "b/")
    assert index.files_by_folder == {"b": ["b.png"]}
    assert index.stem_paths == {"b/b": "b/b.png"}


def test_listed_names_are_cleaned() -> None:
    assert clean_listed_name(" a\\b.jpg ") == "a/b.jpg"
    assert clean_listed_name("what?.jpg") == "what?.jpg"
