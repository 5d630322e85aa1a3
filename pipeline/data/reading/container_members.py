"""Bytes inside a container, read in place: zip, tar, idx, npz and Arrow. Each container is opened once and kept.

What is itself a container in a zip or tar cannot be mapped or sought in there: it is copied out once (`unpacked`).

The readers take (absolute path, member, limit in bytes), may be called from many threads, and raise what the
libraries raise, or `ImageError` with a reason.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import math
import os
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.data.reading.image_decoding import ImageError

_MAX_ARRAY_BYTES = 8_000_000_000  # bytes of one unpacked array
_MAX_UNPACK_RATIO = 200  # images hardly shrink: what grows more than this is a bomb
_UNPACK_ALLOWANCE_BYTES = 100_000_000  # bytes: what may be unpacked of anything, however small
_DECOMPRESSORS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}
_IDX_DTYPES: dict[int, np.dtype[Any]] = {
    kind: np.dtype(word)
    for kind, word in ((8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8"))
}
_container_lock = threading.RLock()


def cache_folder() -> Path:
    """Return the folder of fetched and unpacked files.

    It is `NIGHTSHIFT_CACHE`, else `nightshift` in the user's cache folder.
    """
    own = os.environ.get("NIGHTSHIFT_CACHE")
    return (
        Path(own)
        if own
        else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nightshift"
    )


def _get_file_stamp(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=8)
def _open_zip(path: str, stamp: tuple[int, int]) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def list_zip_names(path: str) -> list[str]:
    """The names of the files in a zip, as they stand in it."""
    return [
        item.filename
        for item in _open_zip(path, _get_file_stamp(path)).infolist()
        if not item.is_dir()
    ]


def read_zip(path: str, name: str, max_bytes: int) -> bytes:
    """One file of a zip; what unpacks to more than `limit` bytes, or to more than its header says, is refused."""
    with _container_lock:
        archive = _open_zip(path, _get_file_stamp(path))
    item = archive.getinfo(name)
    if item.flag_bits & 1:
        raise ImageError("it is encrypted; unpack the archive first")
    if item.file_size > max_bytes:
        raise ImageError(f"the file is too large ({item.file_size:,} bytes)")
    with archive.open(item) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ImageError(f"the file is too large (over {max_bytes:,} bytes)")
    return data


def _index_tar(path: str) -> tuple[str, dict[str, tuple[int, int]]]:
    """The plain tar and, by name, offset and size of each regular file in it."""
    plain = _decompress_tar(path, _get_file_stamp(path))
    return plain, _read_tar_index(plain, _get_file_stamp(plain))


@lru_cache(maxsize=64)
def _read_tar_index(tar_path: str, stamp: tuple[int, int]) -> dict[str, tuple[int, int]]:
    places: dict[str, tuple[int, int]] = {}
    with tarfile.open(tar_path, mode="r:") as archive:
        while (item := archive.next()) is not None:
            if item.isreg() and item.sparse is None:
                places[item.name] = (item.offset_data, item.size)
            vars(archive)["members"] = []  # else each of a million members stays in memory
    return places


def _decompress_tar(path: str, stamp: tuple[int, int]) -> str:
    """The tar itself, or its unpacked copy in the cache folder: packed bytes have no middle to start at."""
    with open(path, "rb") as file:
        opener = _DECOMPRESSORS.get(file.read(2))
    if opener is None:
        return path
    room = _MAX_UNPACK_RATIO * os.path.getsize(path) + _UNPACK_ALLOWANCE_BYTES
    return _cache_file(
        f"{path}\0{stamp}", lambda aside: _copy_stream(opener(path, "rb"), aside, room)
    )


def _cache_file(cache_key: str, write_file: Callable[[Path], None]) -> str:
    """The file of the cache folder that is known by `key`; written aside and renamed where it is not there yet."""
    kept = (
        cache_folder()
        / "unpacked"
        / hashlib.sha256(cache_key.encode("utf-8", "surrogateescape")).hexdigest()
    )
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        aside = kept.with_suffix(f".{os.getpid()}")
        try:
            write_file(aside)
            aside.rename(kept)
        finally:
            aside.unlink(missing_ok=True)
    return str(kept)


def _copy_stream(source: IO[bytes], target_path: Path, max_bytes: int) -> None:
    """What is left of `source` into a new file; an `ImageError` where that is more than `room` bytes."""
    with source, target_path.open("wb") as target:
        while block := source.read(1 << 20):
            max_bytes -= len(block)
            if max_bytes < 0:
                raise ImageError("it unpacks to too many bytes")
            target.write(block)


def _copy_range(path: str, offset: int, size: int, target_path: Path) -> None:
    """A stretch of a file into a new one."""
    with open(path, "rb") as source, target_path.open("wb") as target:
        source.seek(offset)
        while size and (block := source.read(min(size, 1 << 20))):
            target.write(block)
            size -= len(block)
    if size:
        raise ImageError("the archive is cut off")


def unpack_member(kind: str, path: str, name: str) -> str:
    """A file of a zip or tar as a file of the cache folder, copied there once: for what is mapped, or sought in."""
    with _container_lock:
        key = f"{path}\0{_get_file_stamp(path)}\0{name}"
        if kind == "tar":
            plain, places = _index_tar(path)
            return _cache_file(key, lambda aside: _copy_range(plain, *places[name], aside))
        archive = _open_zip(path, _get_file_stamp(path))
        room = _MAX_UNPACK_RATIO * archive.getinfo(name).compress_size + _UNPACK_ALLOWANCE_BYTES
        return _cache_file(key, lambda aside: _copy_stream(archive.open(name), aside, room))


def list_tar_names(path: str) -> list[str]:
    """The names of the regular files in a tar, as they stand in it. Links and devices are not followed."""
    with _container_lock:
        return list(_index_tar(path)[1])


def read_tar(path: str, name: str, max_bytes: int) -> bytes:
    """One regular file of a tar."""
    with _container_lock:
        plain, places = _index_tar(path)
    offset, size = places[name]
    if size > max_bytes:
        raise ImageError(f"the file is too large ({size:,} bytes)")
    with open(plain, "rb", buffering=0) as file:
        data = os.pread(file.fileno(), size, offset)
    if len(data) < size:
        raise ImageError("the archive is cut off")
    return data


def encode_netpbm(pixels: NDArray[Any]) -> bytes:
    """An array as the bytes of a PGM or PPM file: uint8 [H, W], [H, W, 1] or [H, W, 3]."""
    pixels = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if (
        pixels.dtype != np.uint8
        or pixels.ndim not in (2, 3)
        or (pixels.ndim == 3 and pixels.shape[2] != 3)
    ):
        raise ImageError(f"an array of {pixels.dtype} {list(pixels.shape)} is no image")
    kind = b"P5" if pixels.ndim == 2 else b"P6"
    return b"%s %d %d 255\n" % (kind, pixels.shape[1], pixels.shape[0]) + pixels.tobytes()


def load_idx_array(path: str) -> NDArray[Any]:
    """The array in a file of MNIST's idx format, gzipped or not; a `ValueError` where it is none.

    Format: two zero bytes, the type, the number of dimensions, each size as a big-endian int32, then the values.
    """
    with _container_lock:
        return _load_idx(path, _get_file_stamp(path))


@lru_cache(maxsize=4)
def _load_idx(path: str, stamp: tuple[int, int]) -> NDArray[Any]:
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else open(path, "rb") as file:
        zero, kind, dims = struct.unpack(">HBB", file.read(4))
        if zero or kind not in _IDX_DTYPES or not 1 <= dims <= 4:
            raise ValueError("not in the idx format")
        shape = struct.unpack(f">{dims}I", file.read(4 * dims))
        size = math.prod(shape) * _IDX_DTYPES[kind].itemsize
        if size > _MAX_ARRAY_BYTES:
            raise ValueError(f"it claims {size:,} bytes")
        if not packed:
            return np.memmap(path, _IDX_DTYPES[kind], "r", file.tell(), shape)
        return np.frombuffer(file.read(size), _IDX_DTYPES[kind]).reshape(shape)


def read_idx(path: str, name: str, max_bytes: int) -> bytes:
    """Image number `name` of an idx file."""
    return encode_netpbm(np.asarray(load_idx_array(path)[int(name)]))


@lru_cache(maxsize=4)
def _load_npz(path: str, key: str, stamp: tuple[int, int]) -> NDArray[Any]:
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(f"{key}.npy").file_size > _MAX_ARRAY_BYTES:
            raise ImageError("the array is too large")
    with np.load(path, allow_pickle=False) as arrays:
        return np.asarray(arrays[key])


def load_npz_array(path: str, key: str) -> NDArray[Any]:
    """One array of an npz file (nothing is unpickled)."""
    with _container_lock:
        return _load_npz(path, key, _get_file_stamp(path))


def read_npz(path: str, name: str, max_bytes: int) -> bytes:
    """Image `key/number` of an npz file."""
    key, _, number = name.rpartition("/")
    return encode_netpbm(load_npz_array(path, key)[int(number)])


@lru_cache(maxsize=64)
def _load_arrow(path: str, stamp: tuple[int, int]) -> pa.Table:
    source = pa.memory_map(path)
    try:
        table = pa.ipc.open_stream(source).read_all()
    except pa.ArrowInvalid:
        table = pa.ipc.open_file(source).read_all()
    table.validate(full=True)  # else an offset that is wrong ends the process
    return table


def load_arrow_table(path: str) -> pa.Table:
    """The table in an Arrow IPC file, memory-mapped."""
    with _container_lock:
        return _load_arrow(path, _get_file_stamp(path))


def read_arrow(path: str, name: str, max_bytes: int) -> bytes:
    """The image in row `number` of column `column` (member `column/number`): bytes, or a struct with `bytes`."""
    column, _, number = name.rpartition("/")
    value = load_arrow_table(path).column(column)[int(number)].as_py()
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes) or len(data) > max_bytes:
        raise ImageError(
            "its row holds no image" if not isinstance(data, bytes) else "the file is too large"
        )
    return data


MEMBER_READERS: dict[str, Callable[[str, str, int], bytes]] = {
    "zip": read_zip,
    "tar": read_tar,
    "idx": read_idx,
    "npz": read_npz,
    "arrow": read_arrow,
}
