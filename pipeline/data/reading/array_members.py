"""Images in files of arrays and tables: idx (MNIST), npz, Arrow, Parquet, MATLAB and CSV.

Each file is opened once and kept. The readers take (absolute path, member, limit in bytes), may be
called from many threads, and raise what the libraries raise, or `ImageError` with a reason.
"""

from __future__ import annotations

import bisect
import gzip
import math
import struct
import threading
import zipfile
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
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
_LARGEST_ITEM_BYTES = {"uint8": 1, "int8": 1, "logical": 1, "char": 2, "uint16": 2, "int16": 2}
"""Bytes of a value of a MATLAB array by its kind; 8 for others."""
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


@lru_cache(maxsize=16)
def _open_parquet(path: str, stamp: FileStamp) -> tuple[pyarrow.parquet.ParquetFile, list[int]]:
    """Return the file, and the number of rows before each row group."""
    file = pyarrow.parquet.ParquetFile(path)
    sizes = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    return file, [sum(sizes[:k]) for k in range(len(sizes))]


@lru_cache(maxsize=2)  # a row group may hold some hundred MB
def _load_row_group(path: str, stamp: FileStamp, group: int, column: str) -> pa.ChunkedArray:
    file, _ = _open_parquet(path, stamp)
    return file.read_row_group(group, columns=[column]).column(0)


def read_parquet(path: str, name: str, max_bytes: int) -> bytes:
    """Return the encoded image in one cell of a Parquet file.

    Args:
        path: the Parquet file.
        name: `column/number`, the column and the row, as in `read_arrow`.
        max_bytes: largest image.

    Raises:
        ImageError: the cell holds no bytes, or too many.
    """
    column, _, number = name.rpartition("/")
    with _open_lock:
        stamp = get_file_stamp(path)
        _, starts = _open_parquet(path, stamp)
        group = bisect.bisect_right(starts, int(number)) - 1
        cells = _load_row_group(path, stamp, group, column)
    value = cells[int(number) - starts[group]].as_py()
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        raise ImageError("its row holds no image")
    if len(data) > max_bytes:
        raise ImageError("the file is too large")
    return data


@lru_cache(maxsize=4)
def _load_mat(path: str, stamp: FileStamp) -> dict[str, Any]:
    from scipy.io import loadmat, whosmat  # slow to import and seldom needed

    for name, shape, kind in whosmat(path):
        if math.prod(shape) * _LARGEST_ITEM_BYTES.get(kind, 8) > _MAX_ARRAY_BYTES:
            raise ImageError(f"the array {name} is too large")
    return {
        name: value
        for name, value in loadmat(path, squeeze_me=True).items()
        if not name.startswith("__")
    }


def load_mat_variables(path: str) -> dict[str, Any]:
    """Return the variables of a MATLAB file by name.

    Raises:
        NotImplementedError: it is of version 7.3, which is HDF5.
        ValueError: it is no MATLAB file.
    """
    with _open_lock:
        return _load_mat(path, get_file_stamp(path))


def read_mat(path: str, name: str, max_bytes: int) -> bytes:
    """Return one image of an array in a MATLAB file as PGM or PPM.

    Args:
        path: the MATLAB file.
        name: `variable/number`; the last axis of the array counts the images.
        max_bytes: unused; the array is limited as a whole.
    """
    variable, _, number = name.rpartition("/")
    return encode_netpbm(np.ascontiguousarray(load_mat_variables(path)[variable][..., int(number)]))


@lru_cache(maxsize=4)
def _load_pixel_rows(path: str, stamp: FileStamp, columns: str) -> NDArray[np.uint8]:
    first, _, last = columns.partition(":")
    header = 0 if columns.endswith("h") else None
    places = range(int(first), int(last.rstrip("h")))
    frame = pd.read_csv(path, header=header, usecols=list(places), index_col=False)
    if frame.shape[1] == 1:  # one cell holds all values of an image
        values = np.stack([np.array(text.split(), dtype=np.float32) for text in frame.iloc[:, 0]])
    else:
        values = frame.to_numpy(dtype=np.float32)
    factor = find_pixel_factor(float(np.nanmax(values)))
    return np.asarray(np.clip(values * factor, 0, 255), dtype=np.uint8)


def find_pixel_factor(peak: float) -> float:
    """Return the factor from the values of a table to gray levels.

    Args:
        peak: the largest value. Up to 1 and up to 16 are the full range of some tables.
    """
    if peak <= 1:
        return 255.0
    return 255 / 16 if peak <= 16 else 1.0


def load_pixel_rows(path: str, columns: str) -> NDArray[np.uint8]:
    """Return the pixels in a CSV, uint8 [rows, values].

    Args:
        path: the CSV.
        columns: `first:last` of the columns that hold pixels, with `h` at the end if there is a
            header. A single column holds all values with spaces.
    """
    with _open_lock:
        return _load_pixel_rows(path, get_file_stamp(path), columns)


def read_pixel_row(path: str, name: str, max_bytes: int) -> bytes:
    """Return the image in one row of a CSV as PGM or PPM.

    Args:
        path: the CSV.
        name: `columns/height/width/channels/number`.
        max_bytes: unused; the table is limited as a whole.
    """
    columns, height, width, channels, number = name.split("/")
    values = load_pixel_rows(path, columns)[int(number)]
    return encode_netpbm(values.reshape(int(height), int(width), int(channels)))
