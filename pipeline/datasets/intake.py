"""Reads photos in parallel and in order: bytes, hash, header, and the small square copy. Memory stays bounded."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.photo import Photo, Rejected
from pipeline.datasets.picture import Header, ImageError, letterbox
from pipeline.datasets.sources import box_of, fetch, look, pixels_of

AHEAD = 8
"""Photos in flight for each thread."""

T = TypeVar("T")
R = TypeVar("R")
Pixels = NDArray[np.uint8]
Earlier = Callable[[str], Pixels | None]
"""The copy of an image_id that was made before, or None."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A photo that can be used: what its adapter, its bytes and its header say."""

    photo: Photo
    image_id: str
    content_hash: str
    head: Header


def identity(photo: Photo, data: bytes) -> tuple[str, str]:
    """The photo's image_id (hash of bytes, relative path and crop) and content_hash (of bytes and crop)."""
    box = box_of(photo.source)
    crop = "" if box is None else ",".join(map(str, box))
    content = hashlib.sha256(data)
    if crop:
        content.update(f"#{crop}".encode())
    known = content.hexdigest()[:32]
    return hashlib.sha256("\0".join((known, photo.path, crop)).encode("utf-8", "replace")).hexdigest()[:16], known


def prepare(photo: Photo, side: int, earlier: Earlier) -> tuple[Shot, Pixels] | Rejected:
    """Read, hash and decode one photo to uint8 [side, side, 3]; taken from `earlier` where it was decoded before."""
    try:
        data = fetch(photo.source)
        image_id, content = identity(photo, data)
        head = look(photo.source, data)
        pixels = earlier(image_id)
        if pixels is None:
            pixels = letterbox(pixels_of(photo.source, data, side, head), side)
        return Shot(photo, image_id, content, head), pixels
    except ImageError as error:
        return Rejected(photo.path, str(error))
    except MemoryError:
        return Rejected(photo.path, "too large to be decoded in this machine's memory")


def in_order(items: Iterable[T], work: Callable[[T], R], workers: int | None = None) -> Iterator[R]:
    """`work` of each item, in their order, in threads (None: one a core, 8 at most), a bounded number in flight.
    Leaving the loop stops the rest."""
    workers = workers or min(8, len(os.sched_getaffinity(0)))
    queue: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            queue.append(pool.submit(work, item))
            if len(queue) > AHEAD * workers:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Shelf:
    """The small copies on disk, row after row, with the image_id of each: a killed run finds them again.

    Rows are written, not mapped, so that they do not count as this process's memory.
    """

    def __init__(self, folder: Path, side: int) -> None:
        """Shelf in `folder` for copies of `side` px; what stands there already stays."""
        self.folder, self.side, self._row = folder, side, side * side * 3
        self._kept = sorted(folder.glob(f"copies-{side}-*.ids"), key=lambda p: int(p.stem.rpartition("-")[2]))
        number = int(self._kept[-1].stem.rpartition("-")[2]) + 1 if self._kept else 0
        self._ids_path = folder / f"copies-{side}-{number:03d}.ids"
        self._files: tuple[BinaryIO, BinaryIO] | None = None
        self.rows = 0

    def __enter__(self) -> Shelf:
        """Open the files of this run."""
        self._files = self._ids_path.with_suffix(".raw").open("wb"), self._ids_path.open("wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close them; they stay."""
        for file in self._files or ():
            file.close()

    def add(self, image_id: str, pixels: Pixels) -> None:
        """Append one copy, uint8 [side, side, 3]."""
        assert self._files is not None
        self._files[0].write(pixels.tobytes())
        self._files[1].write(f"{image_id}\n".encode())
        self.rows += 1
        if self.rows % 256 == 0:
            self.flush()

    def flush(self) -> None:
        """Bring to disk what was added; pixels first: an id on disk has its pixels on disk."""
        for file in self._files or ():
            file.flush()

    def mapped(self) -> Pixels:
        """All copies of this run, uint8 [rows, side, side, 3], as a read-only memory map."""
        shape = (self.rows, self.side, self.side, 3)
        if not self.rows:
            return np.empty(shape, np.uint8)
        return np.memmap(self._ids_path.with_suffix(".raw"), np.uint8, "r", shape=shape)

    def earlier(self) -> dict[str, tuple[Any, int]]:
        """Where the copies of killed runs are: image_id -> (memory map, row)."""
        places: dict[str, tuple[Any, int]] = {}
        for path in self._kept:
            raw = path.with_suffix(".raw")
            rows = raw.stat().st_size // self._row if raw.is_file() else 0
            ids = path.read_bytes().split(b"\n")[:-1][:rows]
            if ids:
                mapped = np.memmap(raw, np.uint8, "r", shape=(rows, self.side, self.side, 3))
                places |= {name.decode(): (mapped, row) for row, name in enumerate(ids)}
        return places
