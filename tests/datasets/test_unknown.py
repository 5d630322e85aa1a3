"""What is said of a data set that nothing recognises: pipeline/datasets/unknown.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.datasets import recognise
from tests.datasets.pictures import encoded, lay


def _why(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        recognise(root)
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
        ("cat/IMG_1.HEIC", "no photo in it that can be read: a HEIC photo.*heif-convert"),
        ("cat/1.NEF", "a camera's raw photo"),
        ("cat/1.jp2", "convert it to JPEG or PNG"),
        ("cat/1.MP4", "videos and no photos.*ffmpeg"),
        ("photos.rar", r"archives \(photos\.rar\) and no photos; unpack"),
        ("cat/photo", r"none of its 1 files is named as a photo is \(\.jpg"),
    ],
)
def test_what_stands_in_the_way_is_said(tmp_path: Path, name: str, words: str) -> None:
    _file(tmp_path / name)
    with pytest.raises(InputError, match=words):
        recognise(tmp_path)
    assert _why(tmp_path)


def test_single_files(tmp_path: Path) -> None:
    assert "unpack it" in _why(_file(tmp_path / "a.7z"))
    assert "is one photo" in _why(_file(tmp_path / "a.png", encoded()))
    assert "ffmpeg" in _why(_file(tmp_path / "a.mov"))
    assert "of a kind known here" in _why(_file(tmp_path / "a.doc"))
    assert "no such folder or file" in _why(tmp_path / "gone")
    assert "lists the photos by their addresses" in _why(Path("s3://bucket/photos"))


def test_an_archive_beside_nothing_is_to_be_named(tmp_path: Path) -> None:
    lay(tmp_path / "in" / "cat", "1.png", "2.png")
    (tmp_path / "out").mkdir()
    shutil.make_archive(str(tmp_path / "out" / "pets"), "zip", tmp_path / "in")
    assert "archives (pets.zip) and no photos; name one of them" in _why(tmp_path / "out")
    assert recognise(tmp_path / "out" / "pets.zip")[0] == "folder"


def test_links_that_lead_out_name_the_setting(tmp_path: Path) -> None:
    lay(tmp_path / "store", "1.png", "2.png")
    (tmp_path / "data" / "cat").mkdir(parents=True)
    for name in ("1.png", "2.png"):
        (tmp_path / "data" / "cat" / name).symlink_to(tmp_path / "store" / name)
    assert "2 links in it lead out of its folder" in _why(tmp_path / "data")
    assert "ingest.links=true" in _why(tmp_path / "data")


def test_splits_are_no_classes(tmp_path: Path) -> None:
    lay(tmp_path, "train/1.png", "test/2.png")
    assert "its photos lie in test, train, which are splits and no classes" in _why(tmp_path)
    lay(tmp_path, "other/3.png")
    assert recognise(tmp_path)[1].startswith("3 class folders")
    assert "one folder a class" in _why(lay(tmp_path / "flat", "cat.1.png", "dog.2.png"))
