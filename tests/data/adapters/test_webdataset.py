"""WebDataset shards, written by the package itself: pipeline/data/adapters/webdataset.py."""

from __future__ import annotations

import io
import tarfile
from datetime import datetime
from pathlib import Path
from typing import Literal

import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from tests.data.sample_images import (
    ARCHIVE_FORMATS,
    encode_image,
    get_labels,
    list_dataset,
    pack_folder,
)


def _tar(path: Path, members: dict[str, bytes], mode: Literal["w", "w:gz"] = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_shards_of_the_package(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="the package webdataset is absent")
    for shard in ("train-000", "val-000"):
        with webdataset.TarWriter(str(tmp_path / f"{shard}.tar")) as writer:
            for n in range(3):
                writer.write({"__key__": f"{n:04d}", "jpg": encode_image(n, "JPEG"), "cls": n % 2})
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert find_adapter(tmp_path) == ("webdataset", "WebDataset, 2 shards")
    images, rejected = list_dataset(tmp_path)
    assert get_labels(images) == {
        f"{split}-000.tar/{n:04d}.jpg": (("cat", "dog")[n % 2], split)
        for split in ("train", "val")
        for n in range(3)
    }
    assert rejected == {}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_one_shard_with_json(tmp_path: Path, mode: Literal["w", "w:gz"]) -> None:
    path = _tar(
        tmp_path / ("one.tar" if mode == "w" else "one.tar.gz"),
        {
            "a/1.seg.png": encode_image(1),
            "a/1.json": b'{"label": "cat", "lux": 3, "captured_at": "2024-05-31T22:40"}',
            "a/2.png": encode_image(2),
            "a/2.json": b'{"label": ',
            "a/3.json": b'{"label": "dog"}',
            "a/4.png": encode_image(4),
        },
        mode,
    )
    images, rejected = list_dataset(path)
    assert find_adapter(path)[0] == "webdataset"
    assert {
        p: (image.label, image.captured_at, dict(image.columns)) for p, image in images.items()
    } == {
        f"{path.name}/a/1.seg.png": ("cat", datetime(2024, 5, 31, 22, 40), {"lux": 3}),
        f"{path.name}/a/4.png": (None, None, {}),
    }
    assert rejected[f"{path.name}/a/2"].startswith("its label cannot be read")
    assert rejected[f"{path.name}/a/3"] == "a sample without an image"


def test_a_shard_that_is_cut_off_is_set_aside(tmp_path: Path) -> None:
    _tar(tmp_path / "a.tar", {"1.png": encode_image(1), "1.cls": b"0"})
    (tmp_path / "b.tar").write_bytes(b"no tar at all" * 100)
    (tmp_path / "notes.md").touch()
    images, rejected = list_dataset(tmp_path)
    assert list(images) == ["a.tar/1.png"]
    assert rejected["b.tar"].startswith("the shard cannot be read")
    assert rejected["notes.md"] == "not a shard"


def test_a_tar_of_class_folders_is_none(tmp_path: Path) -> None:
    assert (
        find_adapter(
            _tar(tmp_path / "x.tar", {"cat/1.png": encode_image(1), "dog/2.png": encode_image(2)})
        )[0]
        == "folder"
    )
    (tmp_path / "x.tar").unlink()
    with pytest.raises(InputError, match="no tar in it"):
        list(read_dataset(tmp_path, "webdataset"))


@pytest.mark.parametrize("form", ARCHIVE_FORMATS)
def test_shards_in_an_archive(tmp_path: Path, form: str) -> None:
    (tmp_path / "shards").mkdir()
    _tar(tmp_path / "shards" / "train-0.tar", {"1.png": encode_image(1), "1.cls": b"1"})
    _tar(tmp_path / "shards" / "val-0.tar.gz", {"2.png": encode_image(2), "2.cls": b"0"}, "w:gz")
    (tmp_path / "shards" / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "shards" / "notes.md").touch()
    archive = pack_folder(tmp_path / "shards", form)
    assert find_adapter(archive) == ("webdataset", "WebDataset, 2 shards")
    images, rejected = list_dataset(archive)
    assert get_labels(images) == {
        "train-0.tar/1.png": ("dog", "train"),
        "val-0.tar.gz/2.png": ("cat", "val"),
    }
    assert rejected == {"notes.md": "not a shard"}
