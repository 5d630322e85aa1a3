"""Small files that are replaced as a whole, JSON values with their errors, and lock files."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.contracts import InputError, RunBusyError

TEMPORARY_PREFIX = ".write-"
"""Beginning of the name of a file that is being written; a kill may leave one behind."""
STAGE_REMEDY = "delete its folder and run again with --resume"


def write_text(path: Path, text: str) -> None:
    """Write `text` atomically: a reader of `path` gets the old text or the whole new one."""
    writer = f"{os.getpid()}-{threading.get_native_id()}"
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}.{writer}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def read_json(path: Path, remedy: str = STAGE_REMEDY) -> Any:
    """Return the JSON value in `path`.

    Args:
        path: the file.
        remedy: what to do about a damaged file, for the error message.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {remedy}") from error


def read_json_object(path: Path, remedy: str = STAGE_REMEDY) -> dict[str, Any]:
    """Return the JSON object in `path`.

    Args:
        path: the file.
        remedy: what to do about a damaged file, for the error message.

    Raises:
        InputError: the file is missing or damaged, or holds another kind of value.
    """
    value = read_json(path, remedy)
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds a {type(value).__name__}, not an object; {remedy}")
    return value


def sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, so that a rename in it survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_lock_file(path: Path) -> int:
    """Return a descriptor of a lock file, made if it is new; a link is not followed.

    A lock file of another user that this one may only read can be locked too.

    Raises:
        InputError: it is a link or no file.
    """
    flags = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, os.O_RDWR | flags, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        if path.is_symlink() or path.is_dir():
            raise InputError(f"{path}: a lock file must be a plain file; remove it") from error
        raise


@contextmanager
def lock_file(path: Path, *, should_wait: bool = True) -> Iterator[None]:
    """Hold `path` for one process at a time, by a lock file beside it.

    On a mounted folder this holds between machines if the file system's `flock` does (NFS 4).

    Args:
        path: what is held; it need not exist.
        should_wait: whether to wait for another process that holds it.

    Raises:
        RunBusyError: another process holds it, and `should_wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = open_lock_file(path.with_name(f".{path.name}.lock"))
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if should_wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise RunBusyError(f"{path}: another process is at work on it; wait for it") from error
        yield
    finally:
        os.close(descriptor)
