"""MNIST's files: pipeline/data/adapters/idx.py."""

from __future__ import annotations

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from pipeline.data.reading.image_sources import get_local_path, open_image
from tests.data.sample_images import ARCHIVE_FORMATS, list_dataset, pack_folder


def _write(path: Path, values: np.ndarray) -> None:
    data = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize("end", ["", ".gz"])
def test_images_and_labels_by_number(tmp_path: Path, end: str) -> None:
    digits = np.random.default_rng(0).integers(0, 255, (5, 28, 28), dtype=np.uint8)
    for part, count in (("train", 5), ("t10k", 2)):
        _write(tmp_path / f"{part}-images-idx3-ubyte{end}", digits[:count])
        _write(tmp_path / f"{part}-labels-idx1-ubyte{end}", np.arange(count, dtype=np.uint8))
    (tmp_path / "README").touch()
    assert find_adapter(tmp_path)[0] == "idx"
    images, rejected = list_dataset(tmp_path)
    assert [(p.label, p.split) for p in images.values()] == [
        ("0", "test"),
        ("1", "test"),
        *((str(n), "train") for n in range(5)),
    ]
    last = images[f"train-images-idx3-ubyte{end}/000004"]
    assert (open_image(last.source)[:, :, 0] == digits[4]).all()
    assert rejected == {"README": "not an idx file of images or labels"}


def test_pairs_that_do_not_fit(tmp_path: Path) -> None:
    _write(tmp_path / "train-images-idx3-ubyte", np.zeros((3, 4, 4), np.uint8))
    with pytest.raises(InputError, match="no data set of a known format"):
        find_adapter(tmp_path)
    _write(tmp_path / "train-labels-idx1-ubyte", np.zeros(2, np.uint8))
    with pytest.raises(InputError, match="3 images, but 2 labels"):
        list(read_dataset(tmp_path))
    for data in (b"", b"\0\0\x08\x03\xff\xff\xff\xff\0\0\0\x01", b"hello world, no idx"):
        (tmp_path / "train-images-idx3-ubyte").write_bytes(data)
        with pytest.raises(InputError, match="cannot be read as idx"):
            list(read_dataset(tmp_path))


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("form", ARCHIVE_FORMATS)
def test_in_an_archive(tmp_path: Path, cache_folder: Path, form: str, end: str) -> None:
    digits = np.random.default_rng(0).integers(0, 255, (3, 28, 28), dtype=np.uint8)
    root = tmp_path / "raw"
    root.mkdir()
    _write(root / f"t10k-images-idx3-ubyte{end}", digits)
    _write(root / f"t10k-labels-idx1-ubyte{end}", np.arange(3, dtype=np.uint8))
    archive = pack_folder(root, form)
    assert find_adapter(archive)[0] == "idx"
    images, rejected = list_dataset(archive)
    assert [(p.label, p.split) for p in images.values()] == [(str(n), "test") for n in range(3)]
    last = images[f"t10k-images-idx3-ubyte{end}/000002"]
    assert (open_image(last.source)[:, :, 0] == digits[2]).all()
    assert get_local_path(last.source) == str(archive)
    assert rejected == {}
    shutil.rmtree(cache_folder)  # the copies in the cache may go at any time
    assert (open_image(last.source)[:, :, 0] == digits[2]).all()
