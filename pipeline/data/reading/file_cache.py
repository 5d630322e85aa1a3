"""The user's cache folder, and files in it that are written once."""

from __future__ import annotations

import hashlib
import os
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
    """Return size and modification time of a file."""
    status = os.stat(path)
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
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch_path = path.with_suffix(f".{os.getpid()}")
        try:
            write_file(scratch_path)
            scratch_path.rename(path)
        finally:
            scratch_path.unlink(missing_ok=True)
    return str(path)
