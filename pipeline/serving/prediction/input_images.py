"""What a user names: images, folders, archives, tables, patterns, a list on standard input; and a folder to watch."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import (
    TABLE_SUFFIXES,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    escape_invalid_bytes,
    is_image,
)
from pipeline.data.reading.image_sources import build_file_source

ListedImage = ImageRecord | RejectedFile


def list_images(inputs: Iterable[str], input_lines: Iterable[str] = ()) -> Iterator[ListedImage]:
    """Every image of the inputs, in their order: files, whatever `ingest.data` can name (labels are not asked for),
    patterns such as `gate/*.jpg`, and `-` for `lines`, one input each.

    Raises `InputError` for an input that names nothing.
    """
    for name in inputs:
        if name == "-":
            yield from list_images(
                line.strip() for line in input_lines if line.strip() not in ("", "-")
            )
        elif os.path.lexists(name) or "://" in name:
            yield from _list_path(Path(name))
        elif found := sorted(glob.glob(name, recursive=True)):
            for path in found:
                yield from _list_path(Path(path))
        else:
            raise InputError(
                f"{name}: no such image, folder or table, and no pattern that matches one"
            )


def _list_path(path: Path) -> Iterator[ListedImage]:
    if path.is_file() and is_image(path.name):
        yield ImageRecord(
            build_file_source(str(path.absolute())), escape_invalid_bytes(str(path)), None
        )
        return
    tree = FileTree(path)
    if path.is_dir() and not tree.file_names and not tree.rejected_files:
        raise InputError(f"{path}: an empty folder; name one with images in it")
    listed = [
        ImageRecord(tree.get_source(name), name, None) for name in tree.file_names if is_image(name)
    ]
    if listed and not _has_description(path):
        found: Iterable[ListedImage] = [*listed, *tree.rejected_files]
    else:
        found = read_dataset(path, options=ReadOptions(is_label_required=False))
    above = (
        path.parent if path.suffix.lower() in TABLE_SUFFIXES else path
    )  # a table's paths start where it lies
    for item in found:
        yield replace(item, path=str(above / item.path))


def _has_description(path: Path) -> bool:
    """Whether a table or another description lies with the images, beyond their folders."""
    try:
        return find_adapter(path, ReadOptions(is_label_required=False))[0] != "folder"
    except InputError:  # images without order or label are fine here
        return False


def _normalize_path(path: str) -> str:
    """The one spelling of a image's path; a link that is itself a image keeps its name."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def watch_folder(
    folder: Path,
    known_paths: Collection[str],
    interval_seconds: float = 1.0,
    max_rounds: int | None = None,
) -> Iterator[ImageRecord]:
    """Images as they land in a folder, each once, when its size has not changed between two looks. Their paths are
    absolute and without links to folders, so that a image has one name however the folder is called.

    known: paths that were answered before, however spelt. every: seconds between looks; rounds: how many, None: for
    ever.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name the one in which images land")
    done, sizes, folder = (
        {_normalize_path(path) for path in known_paths},
        dict[str, int](),
        folder.resolve(),
    )
    while max_rounds is None or max_rounds > 0:
        for entry in sorted(folder.rglob("*")):
            path = escape_invalid_bytes(str(entry))
            if path in done or not is_image(entry.name) or not entry.is_file():
                continue
            size = entry.stat().st_size
            if size and sizes.get(path) == size:
                done.add(path)
                yield ImageRecord(build_file_source(str(entry)), path, None)
            sizes[path] = size
        max_rounds = None if max_rounds is None else max_rounds - 1
        if max_rounds != 0:
            time.sleep(interval_seconds)
