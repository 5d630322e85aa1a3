"""Reads images in parallel and in order: bytes, hash, header, and the small square copy. Memory stays bounded."""

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

from pipeline.data.reading.image_decoding import ImageError, ImageHeader, letterbox_image
from pipeline.data.reading.image_record import ImageRecord, RejectedFile
from pipeline.data.reading.image_sources import (
    decode_source,
    fetch_bytes,
    parse_crop_box,
    read_source_header,
)

QUEUED_IMAGES_PER_THREAD = 8
"""Images in flight for each thread."""

T = TypeVar("T")
R = TypeVar("R")
PixelArray = NDArray[np.uint8]
CopyLookup = Callable[[str], PixelArray | None]
"""The copy of an image_id that was made before, or None."""


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """A image that can be used: what its adapter, its bytes and its header say."""

    record: ImageRecord
    image_id: str
    content_hash: str
    header: ImageHeader


def hash_image(record: ImageRecord, data: bytes) -> tuple[str, str]:
    """The image's image_id (hash of bytes, relative path and crop) and content_hash (of bytes and crop)."""
    box = parse_crop_box(record.source)
    crop = "" if box is None else ",".join(map(str, box))
    content = hashlib.sha256(data)
    if crop:
        content.update(f"#{crop}".encode())
    known = content.hexdigest()[:32]
    return hashlib.sha256(
        "\0".join((known, record.path, crop)).encode("utf-8", "replace")
    ).hexdigest()[:16], known


def load_image(
    record: ImageRecord, side: int, find_copy: CopyLookup
) -> tuple[LoadedImage, PixelArray] | RejectedFile:
    """Read, hash and decode one image to uint8 [side, side, 3]; taken from `earlier` where it was decoded before."""
    try:
        data = fetch_bytes(record.source)
        image_id, content = hash_image(record, data)
        head = read_source_header(record.source, data)
        pixels = find_copy(image_id)
        if pixels is None:
            pixels = letterbox_image(decode_source(record.source, data, side, head), side)
        return LoadedImage(record, image_id, content, head), pixels
    except ImageError as error:
        return RejectedFile(record.path, str(error))
    except MemoryError:
        return RejectedFile(record.path, "too large to be decoded in this machine's memory")


def map_in_order(
    items: Iterable[T], function: Callable[[T], R], workers: int | None = None
) -> Iterator[R]:
    """`work` of each item, in their order, in threads (None: one a core, 8 at most), a bounded number in flight.
    Leaving the loop stops the rest."""
    workers = workers or min(8, len(os.sched_getaffinity(0)))
    queue: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            queue.append(pool.submit(function, item))
            if len(queue) > QUEUED_IMAGES_PER_THREAD * workers:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class PixelStore:
    """The small copies on disk, row after row, with the image_id of each: a killed run finds them again.

    Rows are written, not mapped, so that they do not count as this process's memory.
    """

    def __init__(self, folder: Path, side: int) -> None:
        """Shelf in `folder` for copies of `side` px; what stands there already stays."""
        self.folder, self.side, self._row_bytes = folder, side, side * side * 3
        self._earlier_id_files = sorted(
            folder.glob(f"copies-{side}-*.ids"), key=lambda p: int(p.stem.rpartition("-")[2])
        )
        number = (
            int(self._earlier_id_files[-1].stem.rpartition("-")[2]) + 1
            if self._earlier_id_files
            else 0
        )
        self._ids_path = folder / f"copies-{side}-{number:03d}.ids"
        self._files: tuple[BinaryIO, BinaryIO] | None = None
        self.row_count = 0

    def __enter__(self) -> PixelStore:
        """Open the files of this run."""
        self._files = self._ids_path.with_suffix(".raw").open("wb"), self._ids_path.open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Close them; they stay."""
        for file in self._files or ():
            file.close()

    def add_copy(self, image_id: str, pixels: PixelArray) -> None:
        """Append one copy, uint8 [side, side, 3]."""
        assert self._files is not None
        self._files[0].write(pixels.tobytes())
        self._files[1].write(f"{image_id}\n".encode())
        self.row_count += 1
        if self.row_count % 256 == 0:
            self.flush_files()

    def flush_files(self) -> None:
        """Bring to disk what was added; pixels first: an id on disk has its pixels on disk."""
        for file in self._files or ():
            file.flush()

    def map_pixels(self) -> PixelArray:
        """All copies of this run, uint8 [rows, side, side, 3], as a read-only memory map."""
        shape = (self.row_count, self.side, self.side, 3)
        if not self.row_count:
            return np.empty(shape, np.uint8)
        return np.memmap(self._ids_path.with_suffix(".raw"), np.uint8, "r", shape=shape)

    def find_earlier_copies(self) -> dict[str, tuple[Any, int]]:
        """Where the copies of killed runs are: image_id -> (memory map, row)."""
        places: dict[str, tuple[Any, int]] = {}
        for path in self._earlier_id_files:
            raw = path.with_suffix(".raw")
            rows = raw.stat().st_size // self._row_bytes if raw.is_file() else 0
            ids = path.read_bytes().split(b"\n")[:-1][:rows]
            if ids:
                mapped = np.memmap(raw, np.uint8, "r", shape=(rows, self.side, self.side, 3))
                places |= {name.decode(): (mapped, row) for row, name in enumerate(ids)}
        return places
