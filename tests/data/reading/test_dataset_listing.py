"""Listing a data set before it is decoded: pipeline/data/reading/dataset_listing.py."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.contracts import InputError
from pipeline.data.reading.dataset_listing import (
    ColumnNames,
    describe_rejections,
    hash_listing,
    list_records,
    require_two_classes,
    resolve_data_root,
)
from pipeline.data.reading.image_record import ImageRecord, ReadOptions, RejectedFile

OPTIONS = ReadOptions()
ROOT = Path("data")


def _save_image(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def _write_manifest(root: Path, table: str) -> Path:
    for seed, name in enumerate("abcd"):
        _save_image(root / f"{name}.png", seed)
    (root / "metadata.csv").write_text(table)
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, path in enumerate(("cat/1.png", "cat/2.png", "dog/3.png")):
        _save_image(tmp_path / "data" / path, seed)
    return tmp_path / "data"


def test_records_come_by_path_and_the_split_in_one_spelling(tmp_path: Path) -> None:
    table = "file_name,label,subset\nb.png,x,Training\na.png,y,valid\nc.png,x,\nd.png,y,test\n"
    root = _write_manifest(tmp_path / "data", table)
    records, rejected = list_records(root, None, OPTIONS, ColumnNames(split="subset"))
    assert [(record.path, record.split) for record in records] == [
        ("a.png", "val"),
        ("b.png", "train"),
        ("c.png", None),
        ("d.png", "test"),
    ]
    assert rejected == []


def test_an_image_without_label_or_with_an_unknown_split_is_rejected(tmp_path: Path) -> None:
    table = "file_name,label,split\na.png,x,train\nb.png,,val\nc.png,x,elsewhere\n"
    root = _write_manifest(tmp_path / "data", table)
    records, rejected = list_records(root, None, OPTIONS, ColumnNames())
    assert [(record.path, record.label) for record in records] == [("a.png", "x")]
    reasons = {(item.path, item.reason) for item in rejected}
    assert reasons >= {("b.png", "no label"), ("c.png", "its split is none of train, val and test")}


@pytest.mark.parametrize("key", ["group", "time", "split"])
def test_a_column_that_no_image_has_is_named_with_the_nearest_one(tmp_path: Path, key: str) -> None:
    root = _write_manifest(tmp_path / "data", "file_name,label,track_id\na.png,x,1\nb.png,y,2\n")
    columns = ColumnNames(**{key: "trak_id"})
    message = rf"ingest\.{key}: the data set has no column 'trak_id'; did you mean track_id\?"
    with pytest.raises(InputError, match=message):
        list_records(root, None, OPTIONS, columns)


def test_columns_that_exif_or_the_adapter_may_add_are_not_required(folder: Path) -> None:
    columns = ColumnNames(group="camera", time="captured_at", split="split")
    records, _ = list_records(folder, None, OPTIONS, columns)
    assert len(records) == 3


def test_the_hash_of_a_folder_follows_its_visible_files(folder: Path) -> None:
    before = hash_listing(folder, None, OPTIONS)
    (folder / ".hidden").touch()
    assert hash_listing(folder, None, OPTIONS) == before
    moved = folder.rename(folder.with_name("moved"))
    assert hash_listing(moved, None, OPTIONS) == before
    os.utime(moved / "cat/1.png", ns=(1, 1))
    touched = hash_listing(moved, None, OPTIONS)
    assert touched != before
    (moved / "cat/1.png").rename(moved / "cat/9.png")
    assert hash_listing(moved, None, OPTIONS) not in (before, touched)


def test_the_hash_of_an_archive_follows_its_bytes(folder: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "images"), "zip", folder))
    before = hash_listing(archive, None, OPTIONS)
    _save_image(folder / "dog" / "5.png", 5)
    shutil.make_archive(str(tmp_path / "images"), "zip", folder)
    assert hash_listing(archive, None, OPTIONS) != before


def test_the_hash_of_a_table_follows_the_files_that_it_lists(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(f"file,label\n{folder}/cat/1.png,cat\n{folder}/dog/3.png,dog\n")
    options = ReadOptions(file_column="file", label_column="label")
    before = hash_listing(table, None, options)
    os.utime(folder / "cat/2.png", ns=(1, 1))
    assert hash_listing(table, None, options) == before
    os.utime(folder / "cat/1.png", ns=(1, 1))
    assert hash_listing(table, None, options) != before


@pytest.mark.parametrize(
    ("data", "message"),
    [(None, "no data set is given"), (Path("gone"), "gone: no such folder or file")],
)
def test_a_data_set_that_is_not_there_is_named(data: Path | None, message: str) -> None:
    with pytest.raises(InputError, match=rf"ingest\.data: {message}"):
        resolve_data_root(data)


def test_an_address_need_not_exist_on_disk() -> None:
    assert resolve_data_root(Path("torchvision:CIFAR10")) == Path("torchvision:CIFAR10")


def test_rejections_are_counted_by_reason() -> None:
    rejected = [RejectedFile(f"{k}.jpg", f"reason {k % 6}") for k in range(12)]
    rejected.append(RejectedFile("bird/", "class folder bird holds no images"))
    record = ImageRecord("/a.jpg", "a.jpg", "ant")
    notes = describe_rejections(rejected, [record], {"cat"})
    assert notes[0].startswith("12 files were rejected: 2 reason 0; ")
    assert notes[0].endswith("2 reason 4; ...")
    assert notes[1:] == [
        "class folder bird holds no images",
        "class ant has no usable image; it is left out",
    ]
    assert describe_rejections([], [record], {"ant"}) == []


@pytest.mark.parametrize(
    ("class_names", "message"),
    [
        ([], r"no image in it can be used; most often: empty file \(2 of 3\)"),
        (["cat"], "all 7 images are of one class, 'cat'; a classifier needs at least two"),
    ],
)
def test_two_classes_are_required(class_names: list[str], message: str) -> None:
    reasons = ("empty file", "truncated", "empty file")
    rejected = [RejectedFile(f"{k}.jpg", reason) for k, reason in enumerate(reasons)]
    with pytest.raises(InputError, match=message):
        require_two_classes(ROOT, class_names, rejected, 7)
    require_two_classes(ROOT, ["cat", "dog"], rejected, 7)
