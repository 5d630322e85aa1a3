"""Sources: the location of an image's bytes as one line of text, and how it is read.

An absolute path is a source as it is. All other sources are either an address such as
`https://...` or `s3://...`, or `kind:container!member` with both parts percent-encoded. The kinds
are `file:` (a path that is not UTF-8), `zip:`, `tar:`, `idx:`, `npz:`, `arrow:`, `parquet:`,
`mat:` and `pixels:` (the rows of a CSV). The container is an absolute path or itself a source
(`zip:` or `tar:`). A box in an image is a fragment `#xywh=x,y,width,height` in pixels, as in W3C
Media Fragments. A fragment `#range=low,high` before it holds the values of a gray image of 16 bits
that become black and white.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from pipeline.data.reading import container_members
from pipeline.data.reading.image_decoding import (
    ImageError,
    ImageHeader,
    ValueRange,
    decode_image,
    read_header,
)
from pipeline.data.reading.remote_files import describe_error, fetch_remote_bytes

MAX_FILE_BYTES = 300_000_000
"""Largest file of one image; a larger one is rejected without being read."""
REMOTE_PATTERN = re.compile(r"(s3|gs|gcs|az|abfs|https?|hf|memory)://[^:]", re.IGNORECASE)

_ARCHIVE_PATTERN = re.compile(r"(zip|tar):")
_CROP_PATTERN = re.compile(r"#xywh=(\d+),(\d+),(\d+),(\d+)$")
_RANGE_PATTERN = re.compile(r"#range=(-?\d+),(-?\d+)(?=#xywh=|$)")
_FRAGMENT_PATTERN = re.compile(r"(#range=-?\d+,-?\d+)?(#xywh=\d+,\d+,\d+,\d+)?$")
CropBox = tuple[int, int, int, int]
"""x, y, width and height in pixels of the upright image."""


def _quote_path(path: str) -> str:
    """Return a path percent-encoded, so that it never begins as an address does."""
    quoted = quote(os.fsencode(path))
    return f"%2F{quoted[1:]}" if quoted.startswith("//") else quoted


def build_file_source(path: str) -> str:
    """Return the source of a file at an absolute path."""
    return path if path.isascii() or _is_utf8(path) else f"file:{_quote_path(path)}"


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def build_member_source(kind: str, container: str, name: str) -> str:
    """Return the source of a member of a container, such as a file in a zip.

    Args:
        kind: zip, tar, idx, npz or arrow.
        container: absolute path, or the source of a file in a zip or tar.
        name: name of the member.
    """
    return f"{kind}:{_quote_path(container)}!{quote(name.encode('utf-8', 'surrogateescape'))}"


def build_crop_source(source: str, box: CropBox) -> str:
    """Return the source of a box in the upright image of another source."""
    plain = f"file:{_quote_path(source)}" if source.startswith("/") else source
    return f"{plain}#xywh={','.join(map(str, box))}"


def parse_crop_box(source: str) -> CropBox | None:
    """Return the box of a source, or None if it has none."""
    match = None if source.startswith("/") else _CROP_PATTERN.search(source)
    return (int(match[1]), int(match[2]), int(match[3]), int(match[4])) if match else None


def build_range_source(source: str, value_range: ValueRange) -> str:
    """Return a source whose gray values of 16 bits are scaled from a range.

    Args:
        source: another source. A range that it has is replaced.
        value_range: the values that become black and white.
    """
    plain = f"file:{_quote_path(source)}" if source.startswith("/") else source
    plain = _RANGE_PATTERN.sub("", plain)
    crop = _CROP_PATTERN.search(plain)
    end = crop.start() if crop else len(plain)
    return f"{plain[:end]}#range={value_range[0]},{value_range[1]}{plain[end:]}"


def parse_value_range(source: str) -> ValueRange | None:
    """Return the range of a source, or None if it has none."""
    match = None if source.startswith("/") else _RANGE_PATTERN.search(source)
    return (int(match[1]), int(match[2])) if match else None


def get_local_path(source: str) -> str | None:
    """Return the local file that holds the bytes of a source, or None for an address."""
    if source.startswith("/"):
        return source
    if _FRAGMENT_PATTERN.sub("", source).partition(":")[2].startswith("//"):
        return None
    container = _parse_source(source)[1]
    return get_local_path(container) if _ARCHIVE_PATTERN.match(container) else container


def _parse_source(source: str) -> tuple[str, str, str]:
    """Return kind, container and member of a source that is neither a path nor an address."""
    kind, _, rest = _FRAGMENT_PATTERN.sub("", source).partition(":")
    container, _, name = rest.partition("!")
    return (
        kind,
        os.fsdecode(unquote_to_bytes(container)),
        unquote_to_bytes(name).decode("utf-8", "surrogateescape"),
    )


def unpack_container(container: str) -> str:
    """Return the path of a container; one in a zip or tar is copied to the cache folder first.

    Raises:
        ImageError: the container cannot be copied.
    """
    if not _ARCHIVE_PATTERN.match(container):
        return container
    try:
        return container_members.unpack_member(*_parse_source(container))
    except ImageError:
        raise
    except Exception as error:  # zipfile, zlib and tarfile raise almost any error
        raise ImageError(describe_error(error)) from error


def fetch_bytes(source: str) -> bytes:
    """Return the encoded bytes of the whole image at `source`.

    Raises:
        ImageError: the bytes cannot be read, or are too many.
    """
    if source.startswith("/"):
        return read_file(source)
    address = _FRAGMENT_PATTERN.sub("", source)
    if REMOTE_PATTERN.match(address):
        return fetch_remote_bytes(address, MAX_FILE_BYTES)
    kind, container, name = _parse_source(source)
    return read_file(container) if kind == "file" else _read_member(kind, container, name)


def _read_member(kind: str, container: str, name: str) -> bytes:
    reader: Callable[[str, str, int], bytes] | None = container_members.MEMBER_READERS.get(kind)
    if reader is None:
        raise ImageError(f"cannot be read: no source of kind {kind!r} is known")
    try:
        return reader(unpack_container(container), name, MAX_FILE_BYTES)
    except ImageError:
        raise
    except Exception as error:  # zipfile, zlib, tarfile and pyarrow raise almost any error
        file = Path(get_local_path(container) or container).name
        raise ImageError(f"cannot be read from {file}: {describe_error(error)}") from error


def read_file(path: str) -> bytes:
    """Return the bytes of a regular file.

    A FIFO or device is rejected and never waited for.

    Raises:
        ImageError: the file cannot be read, is not regular, is too large, or changed meanwhile.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb", buffering=0) as file:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise ImageError("not a regular file")
            if before.st_size > MAX_FILE_BYTES:
                raise ImageError(f"the file is too large ({before.st_size:,} bytes)")
            # read() allocates its whole limit first, so the limit is no larger than needed.
            size = before.st_size + 1
            data = file.read(size)
            while len(data) < before.st_size and (block := file.read(size)):
                data += block
            after = os.fstat(handle)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ImageError(f"cannot be read: {describe_error(error)}") from error
    is_changed = (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
    if is_changed or len(data) != after.st_size:
        raise ImageError("changed while it was read; run again when it is complete")
    return data


def read_source_header(source: str, data: bytes) -> ImageHeader:
    """Return the header of the image, or of its box, in bytes that were fetched from `source`.

    Raises:
        ImageError: the bytes are not an image, or the box is outside it.
    """
    header = read_header(data)
    box = parse_crop_box(source)
    if box is None:
        return header
    width, height = _clamp_box(box, header)[2:]
    return replace(header, width=width, height=height)


def _clamp_box(box: CropBox, image_header: ImageHeader) -> CropBox:
    x, y = min(box[0], image_header.width), min(box[1], image_header.height)
    width, height = min(box[2], image_header.width - x), min(box[3], image_header.height - y)
    if width < 1 or height < 1:
        raise ImageError("its box is outside the image, or empty")
    return x, y, width, height


def decode_source(
    source: str, data: bytes, max_side: int | None = None, image_header: ImageHeader | None = None
) -> NDArray[np.uint8]:
    """Return the pixels of a source, cut to its box if it has one: uint8 [H, W, 3] RGB, upright.

    Args:
        source: the source.
        data: bytes that were fetched from it.
        max_side: as in `decode_image`; a box is always cut from the full size.
        image_header: header of the image, if it was read before.

    Raises:
        ImageError: the image cannot be decoded.
    """
    box = parse_crop_box(source)
    value_range = parse_value_range(source)
    if box is None:
        return decode_image(data, max_side, image_header, value_range)
    full_header = read_header(data)
    x, y, width, height = _clamp_box(box, full_header)
    pixels = decode_image(data, None, full_header, value_range)
    return np.ascontiguousarray(pixels[y : y + height, x : x + width])


def open_image(source: str | Path, max_side: int | None = None) -> NDArray[np.uint8]:
    """Read and decode the image at `source`: uint8 [H, W, 3] RGB, upright.

    Args:
        source: a source as text, or a path, which may be relative.
        max_side: as in `decode_image`.

    Raises:
        ImageError: the image cannot be read or decoded.
    """
    text = os.path.abspath(source) if isinstance(source, Path) else source
    return decode_source(text, fetch_bytes(text), max_side)
