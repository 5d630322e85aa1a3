"""Faults at the file operations of a command: a kill, a full disk, an error of the disk.

The command runs in a forked process of its own. There every function of `os` that changes files,
and `open` for writing, counts the operations below one folder, and raises or kills at the chosen
one. What compiled libraries write without Python (Arrow tables, weights) is not counted; the
operations around it are.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KILL, FULL_DISK, DISK_ERROR = "SIGKILL", "ENOSPC", "EIO"
FAULTS = (KILL, FULL_DISK, DISK_ERROR)
_PATH_FUNCTIONS = (
    *("rename", "replace", "unlink", "remove", "rmdir", "mkdir", "link", "symlink", "truncate"),
    *("chmod", "utime"),
)
_DESCRIPTOR_FUNCTIONS = ("fsync", "ftruncate", "write", "pwrite", "sendfile", "copy_file_range")
_FREEING_FUNCTIONS = {"rename", "replace", "unlink", "remove", "rmdir", "truncate", "ftruncate"}
"""Functions that succeed on a full disk."""
STILL_RUNNING_SECONDS = 120


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        kind: one of `FAULTS`, or empty to count the operations only.
        operation: the operation at which it happens, from 1; a disk stays full afterwards.
        clock_offset: seconds by which the clock is wrong from that operation on.
    """

    kind: str = ""
    operation: int = 0
    clock_offset: float = 0.0


class _Injector:
    def __init__(self, root: Path, fault: Fault, counter_file: Path) -> None:
        self.root, self.fault, self.counter_file = os.path.realpath(root), fault, counter_file
        self.count = 0
        self.original_open = os.open
        self.original_write = os.write

    def _is_below(self, target: Any) -> bool:
        if isinstance(target, int):
            try:
                target = os.readlink(f"/proc/self/fd/{target}")
            except OSError:
                return False
        try:
            return os.path.abspath(os.fspath(target)).startswith(self.root)
        except (TypeError, ValueError):
            return False

    def note(self, name: str, target: Any) -> None:
        """Count an operation on `target`, and let the fault happen."""
        if not self._is_below(target):
            return
        self.count += 1
        if self.fault.clock_offset and self.count == self.fault.operation:
            set_clock(self.fault.clock_offset)
        if self.fault.kind == KILL and self.count == self.fault.operation:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault.kind == DISK_ERROR and self.count == self.fault.operation:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))
        is_full = self.fault.kind == FULL_DISK and self.count >= self.fault.operation
        if is_full and name not in _FREEING_FUNCTIONS:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    def install(self) -> None:
        """Wrap the functions of this process."""
        for name in (*_PATH_FUNCTIONS, *_DESCRIPTOR_FUNCTIONS):
            setattr(os, name, self._wrap(name, getattr(os, name)))
        os.open = self._wrap_os_open(os.open)
        builtins.open = io.open = self._wrap_open(builtins.open)

    def _wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(target: Any, *arguments: Any, **options: Any) -> Any:
            place = arguments[0] if name in ("link", "symlink") and arguments else target
            if options.get("dir_fd") is not None:
                place = os.path.join(os.readlink(f"/proc/self/fd/{options['dir_fd']}"), target)
            self.note(name, place)
            return function(target, *arguments, **options)

        return call

    def _wrap_os_open(self, function: Callable[..., int]) -> Callable[..., int]:
        def call(target: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self.note("open", target)
            return function(target, flags, *arguments, **options)

        return call

    def _wrap_open(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(target: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            is_writing = any(letter in mode for letter in "wax+")
            if is_writing:
                self.note("open", target)
            file = function(target, mode, *arguments, **options)
            if is_writing and self._is_below(target):
                write = file.write

                def write_or_fail(data: Any) -> Any:
                    self.note("write", target)
                    return write(data)

                file.write = write_or_fail
            return file

        return call

    def save_count(self) -> None:
        descriptor = self.original_open(self.counter_file, os.O_WRONLY | os.O_CREAT, 0o600)
        self.original_write(descriptor, str(self.count).encode())


def set_clock(offset: float) -> None:
    """Make the clock of this process wrong by `offset` seconds."""
    from pipeline.storage import run_record

    read_time, convert = time.time, time.gmtime
    time.time = lambda: read_time() + offset
    time.gmtime = lambda seconds=None: convert(time.time() if seconds is None else seconds)
    wrong = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    run_record.format_now = lambda: wrong


def start_command(
    arguments: Sequence[str], root: Path, fault: Fault = Fault(), output: Path | None = None
) -> tuple[int, Path]:
    """Start `nightshift` with these arguments in a forked process that works in `root`.

    Args:
        arguments: the arguments.
        root: the folder below which operations count.
        fault: what happens.
        output: receives what the command prints; None drops it.

    Returns:
        The process id, and the file that will hold the number of operations.
    """
    from pipeline.cli.app import _run_app
    from pipeline.storage import signals

    counter = root.with_name(f"{root.name}.count-{time.monotonic_ns()}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the threads of the numeric libraries are idle
        process_id = os.fork()
    if process_id:
        return process_id, counter
    code = 70
    try:
        os.chdir(root)
        log = os.open(output or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        sys.argv = ["nightshift", *arguments]
        signals.install_handlers()
        injector = _Injector(root, fault, counter)
        if fault.clock_offset and not fault.operation:
            set_clock(fault.clock_offset)
        injector.install()
        code = _run_app()
        injector.save_count()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait_for(process_id: int) -> int:
    """Return the exit code of a started command; -9 after a kill."""
    _, status = os.waitpid(process_id, 0)
    return os.waitstatus_to_exitcode(status)


def run_command(
    arguments: Sequence[str], root: Path, fault: Fault = Fault(), output: Path | None = None
) -> tuple[int, int]:
    """Run a command to its end, and return its exit code and the number of its operations."""
    process_id, counter = start_command(arguments, root, fault, output)
    code = wait_for(process_id)
    count = int(counter.read_text()) if counter.is_file() else 0
    counter.unlink(missing_ok=True)
    return code, count
