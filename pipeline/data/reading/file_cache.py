"""The user's cache folder, and files in it that are written once."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path

FileStamp = tuple[int, int]
"""Size in bytes and modification time in nanoseconds: a changed file has another stamp."""


def get_cache_folder() -> Path:
    """Return the folder of fetched and unpacked files.

    It is `NIGHTSHIFT_CACHE`, else `nightshift` in the user's cache folder.
    """
    configured = os.environ.get("NIGHTSHIFT_CACHE")
    if configured:
        return Path(configured)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nightshift"


def get_file_stamp(path: str) -> FileStamp:
    """Return size and modification time of a regular file.

    Raises:
        OSError: there is no file, or it is a FIFO or a device, which would be waited for.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    return status.st_size, status.st_mtime_ns


def cache_file(cache_key: str, write_file: Callable[[Path], None]) -> str:
    """Return the path of a file in the cache folder, and write it if it does not exist yet.

    Args:
        cache_key: text that identifies the content.
        write_file: writes the content to the path that it is called with. The file is renamed
            afterwards, so a file in the cache is always complete.
    """
    name = hashlib.sha256(cache_key.encode("utf-8", "surrogateescape")).hexdigest()
    path = get_cache_folder() / "unpacked" / name
    if not path.is_file():
        write_cache_file(path, write_file)
    return str(path)


def write_cache_file(path: Path, write_file: Callable[[Path], object]) -> None:
    """Write a file of the cache folder aside and rename it, so that it is always complete.

    Processes and threads that write one file at the same time do not disturb each other. The file
    gets the rights that the user's umask leaves, so that a shared cache can be read by others.

    Args:
        path: the file.
        write_file: writes the content to the path that it is called with.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch_path = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        write_file(scratch_path)
        scratch_path.replace(path)
    finally:
        scratch_path.unlink(missing_ok=True)
