"""Images in files of arrays and tables: MNIST's idx format, npz and Arrow.

Each file is opened once and kept. The readers take (absolute path, member, limit in bytes), may be
called from many threads, and raise what the libraries raise, or `ImageError` with a reason.
"""

from __future__ import annotations

import gzip
import math
import struct
import threading
import zipfile
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.data.reading.file_cache import FileStamp, get_file_stamp
from pipeline.data.reading.image_decoding import ImageError

_MAX_ARRAY_BYTES = 8_000_000_000
"""Largest unpacked array; the header of a broken or malicious file may claim any size."""
_IDX_DTYPES: dict[int, np.dtype[Any]] = {
    8: np.dtype("u1"),
    9: np.dtype("i1"),
    11: np.dtype(">i2"),
    12: np.dtype(">i4"),
    13: np.dtype(">f4"),
    14: np.dtype(">f8"),
}
_open_lock = threading.RLock()


def encode_netpbm(pixels: NDArray[Any]) -> bytes:
    """Return an array as the bytes of a PGM or PPM file.

    Args:
        pixels: uint8 [H, W], [H, W, 1] or [H, W, 3].

    Raises:
        ImageError: the array has another dtype or shape.
    """
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    is_color = pixels.ndim == 3 and pixels.shape[2] == 3
    if pixels.dtype != np.uint8 or not (is_color or pixels.ndim == 2):
        raise ImageError(f"an array of {pixels.dtype} {list(pixels.shape)} is no image")
    magic = b"P6" if is_color else b"P5"
    return b"%s %d %d 255\n" % (magic, pixels.shape[1], pixels.shape[0]) + pixels.tobytes()


def load_idx_array(path: str) -> NDArray[Any]:
    """Return the array in a file of MNIST's idx format, gzipped or not.

    The format is: two zero bytes, the type, the number of dimensions, each size as a big-endian
    int32, then the values.

    Raises:
        ValueError: the file has another format, or claims too large an array.
    """
    with _open_lock:
        return _load_idx(path, get_file_stamp(path))


@lru_cache(maxsize=4)
def _load_idx(path: str, stamp: FileStamp) -> NDArray[Any]:
    with open(path, "rb") as raw:
        is_gzipped = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path) if is_gzipped else open(path, "rb") as file:
        zero, kind, dimension_count = struct.unpack(">HBB", file.read(4))
        if zero or kind not in _IDX_DTYPES or not 1 <= dimension_count <= 4:
            raise ValueError("not in the idx format")
        dtype = _IDX_DTYPES[kind]
        shape = struct.unpack(f">{dimension_count}I", file.read(4 * dimension_count))
        size = math.prod(shape) * dtype.itemsize
        if size > _MAX_ARRAY_BYTES:
            raise ValueError(f"it claims {size:,} bytes")
        if not is_gzipped:
            return np.memmap(path, dtype, "r", file.tell(), shape)
        return np.frombuffer(file.read(size), dtype).reshape(shape)


def read_idx(path: str, name: str, max_bytes: int) -> bytes:
    """Return one image of an idx file as PGM or PPM.

    Args:
        path: the idx file.
        name: number of the image.
        max_bytes: unused; the array is limited as a whole.
    """
    return encode_netpbm(np.asarray(load_idx_array(path)[int(name)]))


@lru_cache(maxsize=4)
def _load_npz(path: str, key: str, stamp: FileStamp) -> NDArray[Any]:
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(f"{key}.npy").file_size > _MAX_ARRAY_BYTES:
            raise ImageError("the array is too large")
    with np.load(path, allow_pickle=False) as arrays:
        return np.asarray(arrays[key])


def load_npz_array(path: str, key: str) -> NDArray[Any]:
    """Return one array of an npz file; nothing is unpickled."""
    with _open_lock:
        return _load_npz(path, key, get_file_stamp(path))


def read_npz(path: str, name: str, max_bytes: int) -> bytes:
    """Return one image of an npz file as PGM or PPM.

    Args:
        path: the npz file.
        name: `key/number`, the name of the array and the number of the image in it.
        max_bytes: unused; the array is limited as a whole.
    """
    key, _, number = name.rpartition("/")
    return encode_netpbm(load_npz_array(path, key)[int(number)])


@lru_cache(maxsize=64)
def _load_arrow(path: str, stamp: FileStamp) -> pa.Table:
    source = pa.memory_map(path)
    try:
        table = pa.ipc.open_stream(source).read_all()
    except pa.ArrowInvalid:
        table = pa.ipc.open_file(source).read_all()
    table.validate(full=True)  # without it a wrong offset crashes the process
    return table


def load_arrow_table(path: str) -> pa.Table:
    """Return the table in an Arrow IPC file, memory-mapped."""
    with _open_lock:
        return _load_arrow(path, get_file_stamp(path))


def read_arrow(path: str, name: str, max_bytes: int) -> bytes:
    """Return the encoded image in one cell of an Arrow file.

    Args:
        path: the Arrow file.
        name: `column/number`, the column and the row. A cell holds bytes, or a struct with `bytes`.
        max_bytes: largest image.

    Raises:
        ImageError: the cell holds no bytes, or too many.
    """
    column, _, number = name.rpartition("/")
    value = load_arrow_table(path).column(column)[int(number)].as_py()
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        raise ImageError("its row holds no image")
    if len(data) > max_bytes:
        raise ImageError("the file is too large")
    return data
