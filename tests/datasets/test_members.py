"""Bytes inside a container: pipeline/datasets/members.py."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets import ImageError, members
from pipeline.datasets.members import idx_array, netpbm, read_zip
from pipeline.datasets.sources import fetch, member


def test_a_zip_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(1_000_000))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    with pytest.raises(ImageError, match="too large"):
        read_zip(str(tmp_path / "a.zip"), "a.png", 1000)
    place = data.rindex(struct.pack("<I", 1_000_000))
    data[place : place + 4] = struct.pack("<I", 10)  # the directory lies
    (tmp_path / "b.zip").write_bytes(bytes(data))
    with pytest.raises(ImageError, match=r"cannot be read from b\.zip|too large"):
        fetch(member("zip", str(tmp_path / "b.zip"), "a.png"))


def test_what_is_not_in_it_or_is_no_container(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"nothing of use" * 50)
    for kind in members.READERS:
        with pytest.raises(ImageError, match=r"cannot be read from a\.bin"):
            fetch(member(kind, str(tmp_path / "a.bin"), "x/1"))
        with pytest.raises(ImageError, match="cannot be read from gone"):
            fetch(member(kind, str(tmp_path / "gone"), "x/1"))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)])
def test_an_array_becomes_a_photo(shape: tuple[int, ...]) -> None:
    from pipeline.datasets import decode

    pixels = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    assert (decode(netpbm(pixels)) == np.broadcast_to(pixels.reshape(4, 5, -1), (4, 5, 3))).all()


@pytest.mark.parametrize("array", [np.zeros((4, 5, 2), np.uint8), np.zeros((4, 5)), np.zeros(4, np.uint8)])
def test_an_array_that_is_no_photo(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match="is no photo"):
        netpbm(array)


def test_an_idx_file_that_claims_too_much(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(struct.pack(">HBB3I", 0, 8, 3, 2**31, 1000, 1000))
    with pytest.raises(ValueError, match="claims"):
        idx_array(str(tmp_path / "a"))
