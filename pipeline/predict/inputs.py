"""What a user names: photos, folders, archives, tables, patterns, a list on standard input; and a folder to watch."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.contracts import InputError
from pipeline.datasets import Tree, is_image, read, recognise
from pipeline.datasets.photo import TABLES, Options, Photo, Rejected, readable
from pipeline.datasets.sources import local

Found = Photo | Rejected


def photos(inputs: Iterable[str], lines: Iterable[str] = ()) -> Iterator[Found]:
    """Every photo of the inputs, in their order: files, whatever `ingest.data` can name (labels are not asked for),
    patterns such as `gate/*.jpg`, and `-` for `lines`, one input each.

    Raises `InputError` for an input that names nothing.
    """
    for name in inputs:
        if name == "-":
            yield from photos(line.strip() for line in lines if line.strip() not in ("", "-"))
        elif os.path.lexists(name) or "://" in name:
            yield from _of(Path(name))
        elif found := sorted(glob.glob(name, recursive=True)):
            for path in found:
                yield from _of(Path(path))
        else:
            raise InputError(f"{name}: no such photo, folder or table, and no pattern that matches one")


def _of(path: Path) -> Iterator[Found]:
    if path.is_file() and is_image(path.name):
        yield Photo(local(str(path.absolute())), readable(str(path)), None)
        return
    tree = Tree(path)
    if path.is_dir() and not tree.names and not tree.problems:
        raise InputError(f"{path}: an empty folder; name one with photos in it")
    listed = [Photo(tree.source(name), name, None) for name in tree.names if is_image(name)]
    if listed and not _described(path):
        found: Iterable[Found] = [*listed, *tree.problems]
    else:
        found = read(path, options=Options(labelled=False))
    above = path.parent if path.suffix.lower() in TABLES else path  # a table's paths start where it lies
    for item in found:
        yield replace(item, path=str(above / item.path))


def _described(path: Path) -> bool:
    """Whether a table or another description lies with the photos, beyond their folders."""
    try:
        return recognise(path, Options(labelled=False))[0] != "folder"
    except InputError:  # photos without order or label are fine here
        return False


def _spelt(path: str) -> str:
    """The one spelling of a photo's path; a link that is itself a photo keeps its name."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def arrivals(folder: Path, known: Collection[str], every: float = 1.0, rounds: int | None = None) -> Iterator[Photo]:
    """Photos as they land in a folder, each once, when its size has not changed between two looks. Their paths are
    absolute and without links to folders, so that a photo has one name however the folder is called.

    known: paths that were answered before, however spelt. every: seconds between looks; rounds: how many, None: for
    ever.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name the one in which photos land")
    done, sizes, folder = {_spelt(path) for path in known}, dict[str, int](), folder.resolve()
    while rounds is None or rounds > 0:
        for entry in sorted(folder.rglob("*")):
            path = readable(str(entry))
            if path in done or not is_image(entry.name) or not entry.is_file():
                continue
            size = entry.stat().st_size
            if size and sizes.get(path) == size:
                done.add(path)
                yield Photo(local(str(entry)), path, None)
            sizes[path] = size
        rounds = None if rounds is None else rounds - 1
        if rounds != 0:
            time.sleep(every)
