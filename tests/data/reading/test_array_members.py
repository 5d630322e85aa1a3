"""Images in files of arrays and tables: pipeline/data/reading/array_members.py."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scipy.io

from pipeline.data.reading import array_members
from pipeline.data.reading.array_members import (
    encode_netpbm,
    load_idx_array,
    load_npz_array,
    read_arrow,
    read_idx,
)
from pipeline.data.reading.image_decoding import ImageError, decode_image

IMAGES = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)


def _encode_idx(values: np.ndarray) -> bytes:
    head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    return head + values.tobytes()


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)])
def test_arrays_are_encoded_without_loss(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    expected = np.broadcast_to(pixels.reshape(4, 5, -1), (4, 5, 3))
    assert (decode_image(encode_netpbm(pixels)) == expected).all()


@pytest.mark.parametrize(
    "array", [np.zeros((4, 5, 2), np.uint8), np.zeros((4, 5)), np.zeros(4, np.uint8)]
)
def test_other_arrays_are_no_images(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match="is no image"):
        encode_netpbm(array)


@pytest.mark.parametrize("is_gzipped", [False, True])
def test_idx_is_read_with_and_without_gzip(tmp_path: Path, is_gzipped: bool) -> None:
    data = _encode_idx(IMAGES)
    (tmp_path / "a").write_bytes(gzip.compress(data) if is_gzipped else data)
    assert (load_idx_array(str(tmp_path / "a")) == IMAGES).all()
    assert (decode_image(read_idx(str(tmp_path / "a"), "2", 0))[:, :, 0] == IMAGES[2]).all()


def test_idx_that_claims_too_many_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(struct.pack(">HBB3I", 0, 8, 3, 2**31, 1000, 1000))
    with pytest.raises(ValueError, match="claims"):
        load_idx_array(str(tmp_path / "a"))


def test_npz_is_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES, objects=np.array([{}], dtype=object))
    assert (load_npz_array(str(tmp_path / "a.npz"), "images") == IMAGES).all()
    with pytest.raises(ValueError, match="pickle"):
        load_npz_array(str(tmp_path / "a.npz"), "objects")


def test_arrow_cell_must_hold_bytes_within_the_limit(tmp_path: Path) -> None:
    table = pa.table({"image": [b"12345", None]})
    with (
        pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)
    path = str(tmp_path / "a.arrow")
    assert read_arrow(path, "image/0", 5) == b"12345"
    with pytest.raises(ImageError, match="too large"):
        read_arrow(path, "image/0", 4)
    with pytest.raises(ImageError, match="holds no image"):
        read_arrow(path, "image/1", 5)


def test_a_matlab_file_that_unpacks_to_too_many_bytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compressed array of zeros takes a thousandth of its size."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"images": np.zeros((64, 64, 3, 9), np.uint8)}, do_compression=True)
    monkeypatch.setattr(array_members, "_MAX_ARRAY_BYTES", 100_000)
    with pytest.raises(ImageError, match="the array images is too large"):
        array_members.load_mat_variables(str(path))
