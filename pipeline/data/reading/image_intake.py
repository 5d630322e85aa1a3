"""Reading of one image (bytes, hash, header, small square copy) and the store of small copies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.data.reading.image_decoding import ImageError, ImageHeader, letterbox_image
from pipeline.data.reading.image_record import ImageRecord, RejectedFile
from pipeline.data.reading.image_sources import (
    decode_source,
    fetch_bytes,
    parse_crop_box,
    parse_value_range,
    read_source_header,
)

PixelArray = NDArray[np.uint8]
CopyLookup = Callable[[str], PixelArray | None]
"""Function that returns the copy that an earlier run made of an `image_id`, or None."""
_FLUSH_INTERVAL = 256
"""Rows between two flushes: the largest number of copies that a killed run loses."""
SIZE_SAMPLE = 200
"""Images whose size is read; their median is known well enough for a choice among a few sides."""


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """A usable image.

    Attributes:
        record: the image as its adapter lists it.
        image_id: hash of bytes, relative path, crop and range; 16 hexadecimal digits.
        content_hash: hash of bytes and crop; 32 hexadecimal digits.
        header: header of the image, or of its crop.
    """

    record: ImageRecord
    image_id: str
    content_hash: str
    header: ImageHeader


def hash_image(record: ImageRecord, data: bytes) -> tuple[str, str]:
    """Return the `image_id` and the `content_hash` of an image (see `LoadedImage`)."""
    box = parse_crop_box(record.source)
    crop = "" if box is None else ",".join(map(str, box))
    value_range = parse_value_range(record.source)
    scaling = "" if value_range is None else f"range {value_range[0]} {value_range[1]}"
    digest = hashlib.sha256(data)
    if crop:
        digest.update(f"#{crop}".encode())
    content_hash = digest.hexdigest()[:32]
    identity = "\0".join((content_hash, record.path, crop + scaling)).encode("utf-8", "replace")
    return hashlib.sha256(identity).hexdigest()[:16], content_hash


def load_image(
    record: ImageRecord, side: int, find_copy: CopyLookup
) -> tuple[LoadedImage, PixelArray] | RejectedFile:
    """Read and hash one image and return it with its copy, uint8 [side, side, 3].

    Args:
        record: the image as its adapter lists it.
        side: side of the copy in pixels.
        find_copy: gives the copy of an earlier run, which saves decoding the image again.

    Returns:
        The image and its copy, or the rejected file with the reason.
    """
    try:
        data = fetch_bytes(record.source)
        image_id, content_hash = hash_image(record, data)
        header = read_source_header(record.source, data)
        pixels = find_copy(image_id)
        if pixels is None:
            pixels = letterbox_image(decode_source(record.source, data, side, header), side)
        return LoadedImage(record, image_id, content_hash, header), pixels
    except ImageError as error:
        return RejectedFile(record.path, str(error))
    except MemoryError:
        return RejectedFile(record.path, "too large to be decoded in this machine's memory")


def measure_longer_sides(
    records: Sequence[ImageRecord], sample_size: int = SIZE_SAMPLE
) -> list[int]:
    """Return the longer side in pixels of images spread evenly over the records.

    Images that cannot be read are left out.

    Args:
        records: the images as their adapter lists them.
        sample_size: largest number of images to read.
    """
    positions = np.unique(np.linspace(0, len(records) - 1, min(sample_size, len(records))).round())
    sides = []
    for position in positions.astype(int):
        source = records[position].source
        try:
            header = read_source_header(source, fetch_bytes(source))
        except ImageError:
            continue
        sides.append(max(header.width, header.height))
    return sides


def _parse_file_number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


class PixelStore:
    """Append-only store of the small copies on disk, with the `image_id` of each row.

    A run that is killed finds its copies again when it resumes. Rows are written, not mapped, so
    that they do not count as memory of this process.
    """

    def __init__(self, folder: Path, side: int) -> None:
        """Open a store in `folder` for copies of `side` pixels; earlier files are kept."""
        self.folder = folder
        self.side = side
        self.row_count = 0
        self._row_bytes = side * side * 3
        self._earlier_id_files = sorted(folder.glob(f"copies-{side}-*.ids"), key=_parse_file_number)
        number = _parse_file_number(self._earlier_id_files[-1]) + 1 if self._earlier_id_files else 0
        self._ids_path = folder / f"copies-{side}-{number:03d}.ids"
        self._files: tuple[BinaryIO, BinaryIO] | None = None

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
        """Close the files; they stay on disk."""
        for file in self._files or ():
            file.close()

    def add_copy(self, image_id: str, pixels: PixelArray) -> None:
        """Append one copy, uint8 [side, side, 3]."""
        assert self._files is not None
        pixel_file, id_file = self._files
        pixel_file.write(pixels.tobytes())
        id_file.write(f"{image_id}\n".encode())
        self.row_count += 1
        if self.row_count % _FLUSH_INTERVAL == 0:
            self.flush_files()

    def flush_files(self) -> None:
        """Flush to disk, pixels first: the pixels of every id on disk are on disk too."""
        for file in self._files or ():
            file.flush()

    def map_pixels(self) -> PixelArray:
        """Return all copies of this run as a read-only memory map, uint8 [rows, side, side, 3]."""
        shape = (self.row_count, self.side, self.side, 3)
        if not self.row_count:
            return np.empty(shape, np.uint8)
        return np.memmap(self._ids_path.with_suffix(".raw"), np.uint8, "r", shape=shape)

    def find_earlier_copies(self) -> dict[str, tuple[Any, int]]:
        """Return memory map and row of every copy of earlier runs, by `image_id`."""
        copies: dict[str, tuple[Any, int]] = {}
        for path in self._earlier_id_files:
            pixel_path = path.with_suffix(".raw")
            row_count = pixel_path.stat().st_size // self._row_bytes if pixel_path.is_file() else 0
            image_ids = path.read_bytes().split(b"\n")[:-1][:row_count]
            if not image_ids:
                continue
            shape = (row_count, self.side, self.side, 3)
            mapped = np.memmap(pixel_path, np.uint8, "r", shape=shape)
            for row, image_id in enumerate(image_ids):
                copies[image_id.decode()] = (mapped, row)
        return copies
