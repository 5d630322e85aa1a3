"""What is said of a data set that nothing recognizes: pipeline/data/reading/unrecognized_data.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter
from tests.data.pictures import encoded, lay


def _why(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        find_adapter(root)
    words = str(caught.value)
    assert words.startswith(f"ingest.data: {root}: ")
    assert "\n" not in words
    return words


def _file(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cat/IMG_1.HEIC", "no image in it that can be read: a HEIC image.*heif-convert"),
        ("cat/1.NEF", "a camera's raw image"),
        ("cat/1.jp2", "convert it to JPEG or PNG"),
        ("cat/1.MP4", "videos and no images.*ffmpeg"),
        ("images.rar", r"archives \(images\.rar\) and no images; unpack"),
        ("cat/image", r"none of its 1 files is named as a image is \(\.jpg"),
    ],
)
def test_what_stands_in_the_way_is_said(tmp_path: Path, name: str, words: str) -> None:
    _file(tmp_path / name)
    with pytest.raises(InputError, match=words):
        find_adapter(tmp_path)
    assert _why(tmp_path)


def test_single_files(tmp_path: Path) -> None:
    assert "unpack it" in _why(_file(tmp_path / "a.7z"))
    assert "is one image" in _why(_file(tmp_path / "a.png", encoded()))
    assert "ffmpeg" in _why(_file(tmp_path / "a.mov"))
    assert "of a kind known here" in _why(_file(tmp_path / "a.doc"))
    assert "no such folder or file" in _why(tmp_path / "gone")
    assert "lists the images by their addresses" in _why(Path("s3://bucket/images"))


def test_an_archive_beside_nothing_is_to_be_named(tmp_path: Path) -> None:
    lay(tmp_path / "in" / "cat", "1.png", "2.png")
    (tmp_path / "out").mkdir()
    shutil.make_archive(str(tmp_path / "out" / "pets"), "zip", tmp_path / "in")
    assert "archives (pets.zip) and no images; name one of them" in _why(tmp_path / "out")
    assert find_adapter(tmp_path / "out" / "pets.zip")[0] == "folder"


def test_links_that_lead_out_name_the_setting(tmp_path: Path) -> None:
    lay(tmp_path / "store", "1.png", "2.png")
    (tmp_path / "data" / "cat").mkdir(parents=True)
    for name in ("1.png", "2.png"):
        (tmp_path / "data" / "cat" / name).symlink_to(tmp_path / "store" / name)
    assert "2 links in it lead out of its folder" in _why(tmp_path / "data")
    assert "ingest.follow_links=true" in _why(tmp_path / "data")


def test_splits_are_no_classes(tmp_path: Path) -> None:
    lay(tmp_path, "train/1.png", "test/2.png")
    assert "its images lie in test, train, which are splits and no classes" in _why(tmp_path)
    lay(tmp_path, "other/3.png")
    assert find_adapter(tmp_path)[1].startswith("3 class folders")
    assert "one folder a class" in _why(lay(tmp_path / "flat", "cat.1.png", "dog.2.png"))
