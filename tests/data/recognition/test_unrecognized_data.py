"""Hints for data sets that no adapter recognizes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter
from tests.data.sample_images import encode_image, write_images


def _get_message(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        find_adapter(root)
    message = str(caught.value)
    assert message.startswith(f"ingest.data: {root}: ")
    assert "\n" not in message
    return message


def _write_file(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cat/1.NEF", "a camera's raw image"),
        ("cat/1.jp2", "convert it to JPEG or PNG"),
        ("cat/1.MP4", "ffmpeg"),
        ("images.rar", "archives (images.rar) and no images; unpack"),
        ("cat/image", "none of its 1 files has the suffix of an image (.jpg"),
    ],
)
def test_folder_without_images_gets_a_hint(tmp_path: Path, name: str, hint: str) -> None:
    _write_file(tmp_path / name)
    assert hint in _get_message(tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("a.7z", "unpack it"),
        ("a.png", "is one image"),
        ("a.mov", "ffmpeg"),
        ("a.doc", "of a known format"),
    ],
)
def test_single_file_gets_a_hint(tmp_path: Path, name: str, hint: str) -> None:
    assert hint in _get_message(_write_file(tmp_path / name, encode_image()))


def test_missing_path_and_address_get_a_hint(tmp_path: Path) -> None:
    assert "no such folder or file" in _get_message(tmp_path / "gone")
    assert "lists the images by their addresses" in _get_message(Path("s3://bucket/images"))


def test_archive_in_a_folder_is_to_be_named(tmp_path: Path) -> None:
    write_images(tmp_path / "in" / "cat", "1.png", "2.png")
    (tmp_path / "out").mkdir()
    shutil.make_archive(str(tmp_path / "out" / "pets"), "zip", tmp_path / "in")
    message = _get_message(tmp_path / "out")
    assert "archives (pets.zip) and no images; name one of them" in message
    assert find_adapter(tmp_path / "out" / "pets.zip")[0] == "folder"


def test_links_out_of_the_folder_name_the_setting(tmp_path: Path) -> None:
    write_images(tmp_path / "store", "1.png", "2.png")
    (tmp_path / "data" / "cat").mkdir(parents=True)
    for name in ("1.png", "2.png"):
        (tmp_path / "data" / "cat" / name).symlink_to(tmp_path / "store" / name)
    message = _get_message(tmp_path / "data")
    assert "2 links in it lead out of its folder" in message
    assert "ingest.follow_links=true" in message


def test_split_folders_are_no_classes(tmp_path: Path) -> None:
    write_images(tmp_path, "train/1.png", "test/2.png")
    assert "are in test, train, which are splits and not classes" in _get_message(tmp_path)
    write_images(tmp_path, "other/3.png")
    assert find_adapter(tmp_path)[1].startswith("3 class folders")


def test_images_in_one_folder_get_the_layout_hint(tmp_path: Path) -> None:
    assert "one folder a class" in _get_message(write_images(tmp_path, "cat.1.png", "dog.2.png"))
