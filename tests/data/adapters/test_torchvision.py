"""Data sets of torchvision, read from files of MNIST in its cache folder."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from tests.data.sample_images import list_dataset


def _fetched(cache_folder: Path) -> None:
    raw = cache_folder / "torchvision" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 6), ("t10k", 4)):
        images = np.random.default_rng(count).integers(0, 255, (count, 28, 28), dtype=np.uint8)
        digits = np.arange(count, dtype=np.uint8) % 3
        for name, values in (
            (f"{part}-images-idx3-ubyte", images),
            (f"{part}-labels-idx1-ubyte", digits),
        ):
            (raw / name).write_bytes(
                struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
                + values.tobytes()
            )


def test_a_data_set_by_name(cache_folder: Path) -> None:
    _fetched(cache_folder)
    root = Path("torchvision:MNIST")
    assert find_adapter(root) == ("torchvision", "torchvision's MNIST")
    images, rejected = list_dataset(root)
    assert rejected == {}
    assert sorted({(p.label or "", p.split or "") for p in images.values()}) == [
        (name, split) for name in ("0 - zero", "1 - one", "2 - two") for split in ("test", "train")
    ]
    assert len(images) == 10
    assert len(list_dataset(root)[0]) == 10  # from the cache


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MNISTT", "did you mean MNIST"),
        ("vision", "no data set 'vision'"),
        ("../etc", "no data set"),
        ("", "no data set"),
    ],
)
def test_a_name_that_is_none(cache_folder: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(read_dataset(Path(f"torchvision:{name}")))


def test_a_failed_download_raises_with_the_reason(cache_folder: Path) -> None:
    with pytest.raises(InputError, match=r"torchvision:ImageFolder|torchvision:ImageNet"):
        list(read_dataset(Path("torchvision:ImageNet")))
