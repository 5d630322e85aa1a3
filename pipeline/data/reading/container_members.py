"""Members of zip and tar archives, read in place, and the readers of all kinds of container.

Each archive is opened once and kept. A member that is itself a container cannot be mapped or
searched inside the archive, so `unpack_member` copies it out once.

The readers take (absolute path, member, limit in bytes), may be called from many threads, and raise
what the libraries raise, or `ImageError` with a reason.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from pipeline.data.reading.array_members import (
    read_arrow,
    read_idx,
    read_mat,
    read_npz,
    read_parquet,
    read_pixel_row,
)
from pipeline.data.reading.file_cache import FileStamp, cache_file, get_file_stamp
from pipeline.data.reading.image_decoding import ImageError

_MAX_UNPACK_RATIO = 200
"""Largest growth when a file is unpacked; images hardly shrink, so what grows more is a bomb."""
_UNPACK_ALLOWANCE_BYTES = 100_000_000
"""Bytes that any file may unpack to, however small it is."""
_COPY_BLOCK_BYTES = 1 << 20
"""Bytes copied at a time, which bounds the memory of a copy."""
_DECOMPRESSORS: dict[bytes, Callable[..., Any]] = {  # by the first two bytes of a file
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}
_open_lock = threading.RLock()


@lru_cache(maxsize=8)
def _open_zip(path: str, stamp: FileStamp) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def list_zip_names(path: str) -> list[str]:
    """Return the names of the files in a zip, as the zip spells them."""
    members = _open_zip(path, get_file_stamp(path)).infolist()
    return [member.filename for member in members if not member.is_dir()]


def read_zip(path: str, name: str, max_bytes: int) -> bytes:
    """Return the bytes of one file in a zip.

    Args:
        path: the zip.
        name: name of the file in it.
        max_bytes: largest file.

    Raises:
        ImageError: the file is encrypted, or unpacks to more than `max_bytes`.
        zipfile.BadZipFile: the file unpacks to more bytes than its header claims.
    """
    with _open_lock:
        archive = _open_zip(path, get_file_stamp(path))
    member = archive.getinfo(name)
    if member.flag_bits & 1:
        raise ImageError("it is encrypted; unpack the archive first")
    if member.file_size > max_bytes:
        raise ImageError(f"the file is too large ({member.file_size:,} bytes)")
    with archive.open(member) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ImageError(f"the file is too large (over {max_bytes:,} bytes)")
    return data


def _index_tar(path: str) -> tuple[str, dict[str, tuple[int, int]]]:
    """Return the path of the uncompressed tar, and offset and size of its regular files by name."""
    plain_path = _decompress_tar(path, get_file_stamp(path))
    return plain_path, _read_tar_index(plain_path, get_file_stamp(plain_path))


@lru_cache(maxsize=64)
def _read_tar_index(tar_path: str, stamp: FileStamp) -> dict[str, tuple[int, int]]:
    index: dict[str, tuple[int, int]] = {}
    with tarfile.open(tar_path, mode="r:") as archive:
        while (member := archive.next()) is not None:
            if member.isreg() and member.sparse is None:
                index[member.name] = (member.offset_data, member.size)
            vars(archive)["members"] = []  # else each of a million members stays in memory
    return index


def _decompress_tar(path: str, stamp: FileStamp) -> str:
    """Return the path of the tar, or of its unpacked copy in the cache folder if it is compressed.

    Compressed bytes cannot be read from the middle.
    """
    with open(path, "rb") as file:
        open_compressed = _DECOMPRESSORS.get(file.read(2))
    if open_compressed is None:
        return path
    max_bytes = _MAX_UNPACK_RATIO * os.path.getsize(path) + _UNPACK_ALLOWANCE_BYTES
    return cache_file(
        f"{path}\0{stamp}",
        lambda target_path: _copy_stream(open_compressed(path, "rb"), target_path, max_bytes),
    )


def _copy_stream(source: IO[bytes], target_path: Path, max_bytes: int) -> None:
    """Copy the rest of `source` to a new file, or raise `ImageError` beyond `max_bytes`."""
    with source, target_path.open("wb") as target:
        while block := source.read(_COPY_BLOCK_BYTES):
            max_bytes -= len(block)
            if max_bytes < 0:
                raise ImageError("it unpacks to too many bytes")
            target.write(block)


def _copy_range(path: str, offset: int, size: int, target_path: Path) -> None:
    """Copy `size` bytes of a file from `offset` on to a new file."""
    with open(path, "rb") as source, target_path.open("wb") as target:
        source.seek(offset)
        while size and (block := source.read(min(size, _COPY_BLOCK_BYTES))):
            target.write(block)
            size -= len(block)
    if size:
        raise ImageError("the archive is cut off")


def unpack_member(kind: str, path: str, name: str) -> str:
    """Return the path of a copy of an archive's member in the cache folder, copied there once.

    Args:
        kind: zip or tar.
        path: the archive.
        name: name of the member.
    """
    with _open_lock:
        cache_key = f"{path}\0{get_file_stamp(path)}\0{name}"
        if kind == "tar":
            plain_path, index = _index_tar(path)
            return cache_file(
                cache_key, lambda target_path: _copy_range(plain_path, *index[name], target_path)
            )
        archive = _open_zip(path, get_file_stamp(path))
        packed_bytes = archive.getinfo(name).compress_size
        max_bytes = _MAX_UNPACK_RATIO * packed_bytes + _UNPACK_ALLOWANCE_BYTES
        return cache_file(
            cache_key, lambda target_path: _copy_stream(archive.open(name), target_path, max_bytes)
        )


def list_tar_names(path: str) -> list[str]:
    """Return the names of the regular files in a tar; links and devices are left out."""
    with _open_lock:
        return list(_index_tar(path)[1])


def read_tar(path: str, name: str, max_bytes: int) -> bytes:
    """Return the bytes of one regular file in a tar.

    Args:
        path: the tar.
        name: name of the file in it.
        max_bytes: largest file.

    Raises:
        ImageError: the file is larger than `max_bytes`, or the archive is cut off.
    """
    with _open_lock:
        plain_path, index = _index_tar(path)
    offset, size = index[name]
    if size > max_bytes:
        raise ImageError(f"the file is too large ({size:,} bytes)")
    with open(plain_path, "rb", buffering=0) as file:
        data = os.pread(file.fileno(), size, offset)
    if len(data) < size:
        raise ImageError("the archive is cut off")
    return data


MEMBER_READERS: dict[str, Callable[[str, str, int], bytes]] = {
    "zip": read_zip,
    "tar": read_tar,
    "idx": read_idx,
    "npz": read_npz,
    "arrow": read_arrow,
    "parquet": read_parquet,
    "mat": read_mat,
    "pixels": read_pixel_row,
}
"""Reader of each kind of container."""
