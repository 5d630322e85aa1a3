"""Files in folders and archives: pipeline/data/reading/file_tree.py."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import read_dataset
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_sources import open_image
from tests.data.sample_images import encode_image, get_labels, list_dataset, write_images

MEMBERS = {
    "images/train/cat/1.png": encode_image(1),
    "images/train/dog/2.png": encode_image(2),
    "images/valid/cat/3.png": encode_image(3),
    "images/valid/cat/notes.txt": b"",
    "__MACOSX/images/cat/1.png": b"",
    "../../up.png": encode_image(4),
    "/abs.png": encode_image(5),
    "images/../../x.png": encode_image(6),
}
ARCHIVE_NAMES = ("a.zip", "a.tar", "a.tar.gz")


def _write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _write_tar(path: Path, members: dict[str, bytes]) -> Path:
    """Write a tar with the members and a link out of it."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("images/cat/link.png")
        link.type = tarfile.SYMTYPE
        link.linkname = "/etc/passwd"
        archive.addfile(link)
    return path


def _write_archive(path: Path) -> Path:
    return _write_zip(path, MEMBERS) if path.suffix == ".zip" else _write_tar(path, MEMBERS)


@pytest.mark.parametrize("name", ARCHIVE_NAMES)
def test_archive_is_read_in_place_and_its_paths_cannot_leave_it(tmp_path: Path, name: str) -> None:
    images, rejected = list_dataset(_write_archive(tmp_path / name))
    assert get_labels(images) == {
        "train/cat/1.png": ("cat", "train"),
        "train/dog/2.png": ("dog", "train"),
        "valid/cat/3.png": ("cat", "val"),
    }
    assert rejected.pop("valid/cat/notes.txt") == "not an image file"
    assert set(rejected.values()) == {"its path leads out of the archive"}
    assert len(rejected) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_manifest_in_an_archive_lists_its_images(tmp_path: Path) -> None:
    table = b"file_name,label\nimg/1.png,cat\nimg/2.png,dog\n../3.png,cat\n/etc/hosts.png,cat\n"
    members = {
        "d/metadata.csv": table,
        "d/img/1.png": encode_image(1),
        "d/img/2.png": encode_image(2),
    }
    images, rejected = list_dataset(_write_zip(tmp_path / "a.zip", members))
    assert get_labels(images) == {"img/1.png": ("cat", None), "img/2.png": ("dog", None)}
    assert set(rejected.values()) == {"its path leads out of the data set's folder"}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ARCHIVE_NAMES)
def test_truncated_archive_is_read_or_refused_in_one_line(
    tmp_path: Path, name: str, share: float
) -> None:
    path = _write_archive(tmp_path / name)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    message = ""
    try:
        list(read_dataset(path))
    except InputError as error:
        message = str(error)
    assert "\n" not in message


def test_zip_of_windows_is_read(tmp_path: Path) -> None:
    members = {"a\\cat\\": b"", "a\\cat\\1.png": encode_image(1), "a\\dog\\2.PNG": encode_image(2)}
    ignored = ("Icon\r", "$RECYCLE.BIN/1.png", "__MACOSX/a/cat/._1.png", ".DS_Store")
    members |= dict.fromkeys(("..\\..\\up.png", *ignored), encode_image(4))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in members.items():
            member = zipfile.ZipInfo("x")
            member.filename = name  # the constructor would replace the backslashes
            archive.writestr(member, data)
    images, rejected = list_dataset(tmp_path / "a.zip")
    assert get_labels(images) == {"cat/1.png": ("cat", None), "dog/2.PNG": ("dog", None)}
    assert rejected == {"../../up.png": "its path leads out of the archive"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_name_that_is_twice_in_an_archive_is_reported(tmp_path: Path) -> None:
    members = {"cat/1.png": encode_image(1), "cat/./1.png": encode_image(2)}
    tree = FileTree(_write_zip(tmp_path / "a.zip", members))
    assert tree.file_names == ["cat/1.png"]
    assert [file.path for file in tree.rejected_files] == ["cat/1.png"]


def test_folders_above_all_images_are_skipped(tmp_path: Path) -> None:
    write_images(tmp_path, "one/two/cat/1.jpg", "one/two/dog/2.jpg")
    assert get_labels(list_dataset(tmp_path)[0]) == {
        "cat/1.jpg": ("cat", None),
        "dog/2.jpg": ("dog", None),
    }


@pytest.mark.parametrize(
    "paths",
    [("cat/1.jpg",), ("cat/1.jpg", "cat/deep/2.jpg"), ("train/cat/1.jpg", "train/dog/1.jpg")],
)
def test_class_and_split_folders_are_not_skipped(tmp_path: Path, paths: tuple[str, ...]) -> None:
    assert FileTree(write_images(tmp_path, *paths)).base_folder == ""


def test_documents_do_not_hide_the_folder_of_all_images(tmp_path: Path) -> None:
    paths = {}
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            paths[f"{split}/{label}/1.jpg"] = (label, split)
    write_images(tmp_path / "pets" / "images", *paths)
    for name in ("README", "LICENSE.txt", "pets/data.yaml"):
        (tmp_path / name).touch()
    images, rejected = list_dataset(tmp_path)
    assert get_labels(images) == paths
    documents = ("../../README", "../../LICENSE.txt", "../data.yaml")
    assert rejected == dict.fromkeys(documents, "not an image file")
    (tmp_path / "labels.csv").touch()  # a table is no document: it may list images
    assert FileTree(tmp_path).base_folder == ""


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.binary(min_size=1, max_size=40).filter(
            lambda name: not set(name) & {0, 47} and name not in (b".", b"..")
        ),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
def test_files_of_any_name_can_be_opened(names: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            with open(os.fsencode(folder) + b"/" + name + b".png", "wb") as file:
                file.write(encode_image(1))
        tree = FileTree(Path(folder))
        assert len(tree.file_names) == sum(not name.startswith(b".") for name in names)
        for name in tree.file_names:
            assert name.encode()
            assert open_image(tree.get_source(name)).shape == (16, 24, 3)


def test_empty_folders_are_listed(tmp_path: Path) -> None:
    write_images(tmp_path, "cat/1.png", "dog/2.png")
    (tmp_path / "fox").mkdir()
    assert FileTree(tmp_path).folders == {"cat", "dog", "fox"}
