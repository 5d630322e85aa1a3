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
from pipeline.data.reading.file_tree import LOOP_REASON, OUTSIDE_REASON, FileTree, walk_files
from pipeline.data.reading.image_sources import open_image
from tests.data.pictures import encoded, labels, lay, listed


def _found(root: Path, **options: bool) -> dict[str, str | None]:
    return {
        Path(f.path).relative_to(root).as_posix(): f.problem for f in walk_files(root, **options)
    }


def test_walk_passes_over_hidden_files_and_survives_a_ring_of_links(tmp_path: Path) -> None:
    for name in ("b/x.jpg", "a/.hidden", ".git/y.jpg", "a/z.jpg", "a/Thumbs.db", "__MACOSX/w.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    os.symlink(tmp_path, tmp_path / "a" / "ring")
    assert _found(tmp_path) == {"a/ring": LOOP_REASON, "a/z.jpg": None, "b/x.jpg": None}


def test_links_inside_are_followed_and_links_outside_only_where_that_is_wanted(
    tmp_path: Path,
) -> None:
    root = lay(tmp_path / "data", "all/1.jpg", "all/2.jpg")
    lay(tmp_path / "elsewhere", "3.jpg")
    (root / "train").mkdir()
    os.symlink("../all", root / "train" / "cat")
    os.symlink(tmp_path / "elsewhere", root / "train" / "dog")
    inside = {
        "all/1.jpg": None,
        "all/2.jpg": None,
        "train/cat/1.jpg": None,
        "train/cat/2.jpg": None,
    }
    assert _found(root) == {**inside, "train/dog": OUTSIDE_REASON}
    assert _found(root, links=True) == {**inside, "train/dog/3.jpg": None}
    os.symlink(root, tmp_path / "link")  # the root itself may be one
    assert len(FileTree(tmp_path / "link").file_names) == 4


def test_links_that_multiply_are_bounded(tmp_path: Path) -> None:
    for one in range(8):
        (tmp_path / f"f{one}").mkdir()
        for other in range(8):
            os.symlink(f"../f{other}", tmp_path / f"f{one}" / f"to{other}")
    assert len(list(walk_files(tmp_path))) < 2000


def test_a_folder_that_cannot_be_listed_is_set_aside() -> None:
    with tempfile.TemporaryDirectory() as name:  # not pytest's, which only its owner may enter
        root = lay(Path(name), "cat/1.png", "dog/2.png")
        os.chmod(root, 0o755)
        os.chmod(root / "dog", 0)
        if os.geteuid() == 0:  # root may read everything, so this is tried as nobody
            os.seteuid(65534)
        try:
            found = _found(root)
            with pytest.raises(
                InputError, match=r"ingest\.data: .*cannot be listed: Permission denied"
            ):
                list(walk_files(root / "dog"))
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
        os.chmod(root / "dog", 0o755)
    assert found == {"cat/1.png": None, "dog": "a folder that cannot be listed: Permission denied"}


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("images/cat/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


PHOTOS = {
    "images/train/cat/1.png": encoded(1),
    "images/train/dog/2.png": encoded(2),
    "images/valid/cat/3.png": encoded(3),
    "images/valid/cat/notes.txt": b"",
    "__MACOSX/images/cat/1.png": b"",
    "../../up.png": encoded(4),
    "/abs.png": encoded(5),
    "images/../../x.png": encoded(6),
}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_an_archive_is_read_in_place_and_nothing_slips_out(tmp_path: Path, name: str) -> None:
    path = _zip(tmp_path / name, PHOTOS) if name == "a.zip" else _tar(tmp_path / name, PHOTOS)
    images, rejected = listed(path)
    assert labels(images) == {
        "train/cat/1.png": ("cat", "train"),
        "train/dog/2.png": ("dog", "train"),
        "valid/cat/3.png": ("cat", "val"),
    }
    assert rejected.pop("valid/cat/notes.txt") == "not an image file"
    assert set(rejected.values()) == {"its path leads out of the archive"}
    assert len(rejected) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_a_manifest_in_an_archive(tmp_path: Path) -> None:
    table = b"file_name,label\nimg/1.png,cat\nimg/2.png,dog\n../3.png,cat\n/etc/hosts.png,cat\n"
    images, rejected = listed(
        _zip(
            tmp_path / "a.zip",
            {"d/metadata.csv": table, "d/img/1.png": encoded(1), "d/img/2.png": encoded(2)},
        )
    )
    assert labels(images) == {"img/1.png": ("cat", None), "img/2.png": ("dog", None)}
    assert set(rejected.values()) == {"its path leads out of the data set's folder"}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_archives_that_are_broken(tmp_path: Path, name: str) -> None:
    path = _zip(tmp_path / name, PHOTOS) if name == "a.zip" else _tar(tmp_path / name, PHOTOS)
    whole = path.read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        words = ""
        try:
            list(read_dataset(path))
        except InputError as error:
            words = str(error)
        assert "\n" not in words


def test_a_folder_of_folders_is_entered(tmp_path: Path) -> None:
    lay(tmp_path, "one/two/cat/1.jpg", "one/two/dog/2.jpg")
    assert labels(listed(tmp_path)[0]) == {"cat/1.jpg": ("cat", None), "dog/2.jpg": ("dog", None)}
    assert FileTree(lay(tmp_path / "x", "cat/1.jpg")).base_folder == ""
    assert FileTree(lay(tmp_path / "y", "cat/1.jpg", "cat/deep/2.jpg")).base_folder == ""
    assert FileTree(lay(tmp_path / "z", "train/cat/1.jpg", "train/dog/1.jpg")).base_folder == ""


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.binary(min_size=1, max_size=40).filter(
            lambda b: not set(b) & {0, 47} and b not in (b".", b"..")
        ),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
def test_any_name_that_a_file_can_have(names: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = set()
        for name in names:
            path = os.fsencode(folder) + b"/" + name + b".png"
            with open(path, "wb") as file:
                file.write(encoded(1))
            made.add(path)
        tree = FileTree(Path(folder))
        hidden = {path for path in made if os.path.basename(path).startswith(b".")}
        assert len(tree.file_names) == len(made - hidden)
        for name in tree.file_names:
            assert name.encode()
            assert open_image(tree.get_source(name)).shape == (16, 24, 3)


def test_papers_beside_the_folder_of_all_images_do_not_hide_it(tmp_path: Path) -> None:
    lay(
        tmp_path,
        *(f"pets/images/{split}/{c}/1.jpg" for split in ("train", "test") for c in ("cat", "dog")),
    )
    for name in ("README", "LICENSE.txt", "pets/data.yaml"):
        (tmp_path / name).touch()
    images, rejected = listed(tmp_path)
    assert labels(images) == {
        f"{s}/{c}/1.jpg": (c, s) for s in ("train", "test") for c in ("cat", "dog")
    }
    assert rejected == dict.fromkeys(
        ("../../README", "../../LICENSE.txt", "../data.yaml"), "not an image file"
    )
    (tmp_path / "labels.csv").touch()  # a table is no paper: it may say where images are
    assert FileTree(tmp_path).base_folder == ""


def test_a_zip_with_backslashes_and_what_systems_leave_behind(tmp_path: Path) -> None:
    path, junk = (
        tmp_path / "a.zip",
        ("Icon\r", "$RECYCLE.BIN/1.png", "__MACOSX/a/cat/._1.png", ".DS_Store"),
    )
    with zipfile.ZipFile(path, "w") as archive:
        names = {"a\\cat\\": b"", "a\\cat\\1.png": encoded(1), "a\\dog\\2.PNG": encoded(2)}
        for name, data in (names | dict.fromkeys(("..\\..\\up.png", *junk), encoded(4))).items():
            info = zipfile.ZipInfo("x")
            info.filename = name  # the constructor would mend it
            archive.writestr(info, data)
    images, rejected = listed(path)
    assert labels(images) == {"cat/1.png": ("cat", None), "dog/2.PNG": ("dog", None)}
    assert rejected == {"../../up.png": "its path leads out of the archive"}


def test_runs_and_reports_inside_the_data_are_no_classes(tmp_path: Path) -> None:
    lay(
        tmp_path,
        "cat/1.png",
        "dog/2.png",
        "runs/20260101-x/ingest/3.png",
        "reports/20260101-x/4.png",
    )
    assert {image.label for image in listed(tmp_path)[0].values()} == {
        "cat",
        "dog",
        "runs",
        "reports",
    }
    (tmp_path / "runs" / "20260101-x" / "run.json").touch()
    (tmp_path / "reports" / "20260101-x" / "summary.json").touch()
    images, rejected = listed(tmp_path)
    assert ({image.label for image in images.values()}, rejected) == ({"cat", "dog"}, {})
