"""Images that a user names: files, folders, archives, tables, patterns, or a folder to watch."""

from __future__ import annotations

import glob
import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_decoding import ImageError, decode_image
from pipeline.data.reading.image_record import (
    TABLE_SUFFIXES,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    escape_invalid_bytes,
    is_image,
)
from pipeline.data.reading.image_sources import build_file_source, read_file

ListedImage = ImageRecord | RejectedFile
PATIENCE_ROUNDS = 60
"""Rounds in which a file may rest without being an image, before its error is reported."""
_UNLABELED = ReadOptions(is_label_required=False)


def list_images(inputs: Iterable[str], input_lines: Iterable[str] = ()) -> Iterator[ListedImage]:
    """Yield every image of the inputs in their order.

    Args:
        inputs: files, anything that `ingest.data` can name (labels are not required), patterns
            such as `gate/*.jpg`, and `-` for `input_lines`.
        input_lines: lines of standard input, one input each.

    Raises:
        InputError: an input matches nothing.
    """
    for name in inputs:
        if name == "-":
            lines = (line.strip() for line in input_lines)
            yield from list_images(line for line in lines if line not in ("", "-"))
        elif os.path.lexists(name) or "://" in name:
            yield from _list_path(Path(name))
        elif matches := sorted(glob.glob(name, recursive=True)):
            for match in matches:
                yield from _list_path(Path(match))
        else:
            raise InputError(
                f"{name}: no such image, folder or table, and not a pattern that matches one"
            )


def _list_path(path: Path) -> Iterator[ListedImage]:
    if path.is_file() and is_image(path.name):
        source = build_file_source(str(path.absolute()))
        yield ImageRecord(source, escape_invalid_bytes(str(path)), None)
        return
    tree = FileTree(path)
    if path.is_dir() and not tree.file_names and not tree.rejected_files:
        raise InputError(f"{path}: an empty folder; name one with images in it")
    # The paths in a table are relative to the folder of the table.
    base = path.parent if path.suffix.lower() in TABLE_SUFFIXES else path
    for item in _list_tree(path, tree):
        yield replace(item, path=str(base / item.path))


def _list_tree(path: Path, tree: FileTree) -> Iterable[ListedImage]:
    image_names = [name for name in tree.file_names if is_image(name)]
    if not image_names or _has_description(path):
        return read_dataset(path, options=_UNLABELED)
    records = [ImageRecord(tree.get_source(name), name, None) for name in image_names]
    return [*records, *tree.rejected_files]


def _has_description(path: Path) -> bool:
    """Return whether a table or another description comes with the images."""
    try:
        return find_adapter(path, _UNLABELED)[0] != "folder"
    except InputError:  # unsorted images without labels are valid here
        return False


def _normalize_path(path: str) -> str:
    """Return the same spelling for every path of an image.

    Links to folders are resolved; an image that is itself a link keeps its name.
    """
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


@dataclass
class _ArrivingFile:
    """The state of a file that is not finished.

    Attributes:
        stamp: its size and modification time in the last round.
        failed_rounds: rounds since the last change in which it rested and did not decode.
        is_reported: whether its error was yielded since the last change.
    """

    stamp: tuple[int, int] | None = None
    failed_rounds: int = 0
    is_reported: bool = False

    def is_ready(self, path: str, stamp: tuple[int, int]) -> bool:
        """Return whether the file is to be predicted now: it decodes, or it is given up for now."""
        if stamp != self.stamp:
            self.stamp, self.failed_rounds, self.is_reported = stamp, 0, False
            return False
        if self.is_reported:
            return False
        if _can_decode(path):
            return True
        self.failed_rounds += 1
        self.is_reported = self.failed_rounds >= PATIENCE_ROUNDS
        return self.is_reported


def _can_decode(path: str) -> bool:
    try:
        decode_image(read_file(path))
    except ImageError:
        return False
    return True


def _list_arriving(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield path and stamp of each image in a folder; files that vanish meanwhile are left out."""
    for entry in sorted(folder.rglob("*")):
        with suppress(OSError):
            status = entry.stat()
            if is_image(entry.name) and stat.S_ISREG(status.st_mode):
                yield str(entry), (status.st_size, status.st_mtime_ns)


def watch_folder(
    folder: Path,
    known_paths: Collection[str],
    interval_seconds: float = 1.0,
    max_rounds: int | None = None,
    failed_paths: Collection[str] = (),
) -> Iterator[ImageRecord]:
    """Yield each image as it arrives in a folder, when it has stopped growing and decodes.

    A file that does not decode may be an upload that stalls. It is tried again for
    `PATIENCE_ROUNDS` rounds, then yielded so that its error is reported, and tried again whenever
    it changes. Paths are absolute and without links to folders, so that an image has one name
    however the folder is spelled.

    Args:
        folder: the folder; its subfolders are watched too.
        known_paths: paths of images to skip, in any spelling.
        interval_seconds: pause between two rounds.
        max_rounds: number of rounds; None for no end.
        failed_paths: paths whose errors were reported by an earlier watch; they are yielded again
            only if they decode now, or change.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name the folder in which images arrive")
    folder = folder.resolve()
    known = {_normalize_path(path) for path in known_paths}
    failed = {_normalize_path(path) for path in failed_paths}
    files: dict[str, _ArrivingFile] = {}
    finished_paths: set[str] = set()
    while max_rounds is None or max_rounds > 0:
        for path, stamp in _list_arriving(folder):
            name = escape_invalid_bytes(path)
            if path in finished_paths or name in known:
                continue
            if path not in files:
                is_failed = name in failed
                files[path] = _ArrivingFile(stamp if is_failed else None)
                if is_failed and not _can_decode(path):
                    files[path].is_reported = True
                    continue
            if files[path].is_ready(path, stamp):
                if not files[path].is_reported:
                    finished_paths.add(path)
                yield ImageRecord(build_file_source(path), name, None)
        max_rounds = None if max_rounds is None else max_rounds - 1
        if max_rounds != 0:
            time.sleep(interval_seconds)
