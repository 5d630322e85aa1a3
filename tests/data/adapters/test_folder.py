"""Class folders: pipeline/data/adapters/folder.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.data.adapters.folder import can_read, read_images
from pipeline.data.layout.undecided_data import UndecidedDataError
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import ImageRecord, ReadOptions, RejectedFile


def _touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def _images(root: Path) -> list[tuple[str, str | None, str | None]]:
    return [
        (item.path, item.label, item.split)
        for item in read_images(FileTree(root))
        if isinstance(item, ImageRecord)
    ]


def _rejected(root: Path) -> dict[str, str]:
    return {
        item.path: item.reason
        for item in read_images(FileTree(root))
        if isinstance(item, RejectedFile)
    }


def test_class_folders_without_splits(tmp_path: Path) -> None:
    _touch(tmp_path, "cat/1.jpg", "cat/2.PNG", "dog/3.webp")
    assert _images(tmp_path) == [
        ("cat/1.jpg", "cat", None),
        ("cat/2.PNG", "cat", None),
        ("dog/3.webp", "dog", None),
    ]
    assert can_read(FileTree(tmp_path)) == "2 class folders (cat, dog)"
    first = next(read_images(FileTree(tmp_path)))
    assert isinstance(first, ImageRecord)
    assert first.source == str(tmp_path / "cat/1.jpg")


@pytest.mark.parametrize(
    ("name", "split"), [("val", "val"), ("valid", "val"), ("validation", "val"), ("Test", "test")]
)
def test_split_folders(tmp_path: Path, name: str, split: str) -> None:
    _touch(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", f"{name}/bird/3.jpg")
    trained = {("train/cat/1.jpg", "cat", "train"), ("train/dog/2.jpg", "dog", "train")}
    assert set(_images(tmp_path)) == {*trained, (f"{name}/bird/3.jpg", "bird", split)}
    assert "3 class folders (bird, cat, dog)" in (can_read(FileTree(tmp_path)) or "")


def test_a_class_called_test_must_be_confirmed(tmp_path: Path) -> None:
    _touch(tmp_path, "test/1.jpg", "control/2.jpg")
    with pytest.raises(UndecidedDataError, match="test beside control may be splits or classes"):
        _images(tmp_path)
    options = ReadOptions(class_level="top")
    labels = {
        item.label
        for item in read_images(FileTree(tmp_path), options)
        if isinstance(item, ImageRecord)
    }
    assert labels == {"test", "control"}


def test_what_is_set_aside_and_why(tmp_path: Path) -> None:
    _touch(
        tmp_path,
        "README.md",
        "loose.jpg",
        "cat/1.jpg",
        "cat/notes.txt",
        ".hidden.jpg",
        "cat/.DS_Store",
    )
    (tmp_path / "empty").mkdir()
    assert _rejected(tmp_path) == {
        "README.md": "not an image file",
        "loose.jpg": "not in a class folder",
        "cat/notes.txt": "not an image file",
        "empty/": "class folder empty holds no images",
    }


def test_empty_class_of_one_split(tmp_path: Path) -> None:
    _touch(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/2.jpg", "other/3.jpg")
    (tmp_path / "test" / "dog").mkdir()
    assert _rejected(tmp_path) == {
        "test/dog/": "class folder test/dog holds no images",
        "other/3.jpg": "in a folder beside the splits",
    }


def test_nothing_to_recognize(tmp_path: Path) -> None:
    assert can_read(FileTree(tmp_path)) is None
    assert can_read(FileTree(tmp_path / "missing")) is None
    _touch(tmp_path / "splits", "train/1.jpg", "valid/2.jpg")
    assert can_read(FileTree(tmp_path / "splits")) is None
    _touch(tmp_path, "docs/a.txt")
    assert can_read(FileTree(tmp_path)) is None
