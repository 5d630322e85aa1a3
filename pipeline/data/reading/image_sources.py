"""Where a image's bytes are, as one line of text, and how they are read.

An absolute path stands for itself. Everything else is `kind:container!member`, both percent-encoded: `file:` (a name
that is no UTF-8), `zip:`, `tar:`, `idx:`, `npz:`, `arrow:`, whose container is an absolute path, or again a source
(`zip:` or `tar:`); or an address such as `https://...` or `s3://...`. A box in a image is a fragment
`#xywh=x,y,width,height` in px, as in W3C Media Fragments.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from pipeline.data.reading import container_members
from pipeline.data.reading.image_decoding import ImageError, ImageHeader, decode_image, read_header

MAX_FILE_BYTES = 300_000_000
"""Bytes of one image's file; a larger one is set aside unread."""
REMOTE_PATTERN = re.compile(r"(s3|gs|gcs|az|abfs|https?|hf|memory)://[^:]", re.IGNORECASE)

_ARCHIVE_PATTERN = re.compile(r"(zip|tar):")
_CROP_PATTERN = re.compile(r"#xywh=(\d+),(\d+),(\d+),(\d+)$")
CropBox = tuple[int, int, int, int]


def _quote_path(path: str) -> str:
    """A path percent-encoded, so that it never begins as an address does."""
    packed = quote(os.fsencode(path))
    return f"%2F{packed[1:]}" if packed.startswith("//") else packed


def build_file_source(path: str) -> str:
    """The source of a file at an absolute path."""
    return path if path.isascii() or _is_utf8(path) else f"file:{_quote_path(path)}"


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def build_member_source(kind: str, container: str, name: str) -> str:
    """The source of something in a container (absolute path, or source in a zip or tar), such as a file in a zip."""
    return f"{kind}:{_quote_path(container)}!{quote(name.encode('utf-8', 'surrogateescape'))}"


def build_crop_source(source: str, box: CropBox) -> str:
    """The source of a box (x, y, width, height in px of the upright image) in another source."""
    plain = f"file:{_quote_path(source)}" if source.startswith("/") else source
    return f"{plain}#xywh={','.join(map(str, box))}"


def parse_crop_box(source: str) -> CropBox | None:
    """The box of a source that is one."""
    found = None if source.startswith("/") else _CROP_PATTERN.search(source)
    return (int(found[1]), int(found[2]), int(found[3]), int(found[4])) if found else None


def get_local_path(source: str) -> str | None:
    """The file on this machine in which the bytes are; None for an address."""
    if source.startswith("/"):
        return source
    if _CROP_PATTERN.sub("", source).partition(":")[2].startswith("//"):
        return None
    container = _parse_source(source)[1]
    return get_local_path(container) if _ARCHIVE_PATTERN.match(container) else container


def _parse_source(source: str) -> tuple[str, str, str]:
    """Kind, container and member of a source that is neither a path nor an address."""
    kind, _, rest = _CROP_PATTERN.sub("", source).partition(":")
    container, _, name = rest.partition("!")
    return (
        kind,
        os.fsdecode(unquote_to_bytes(container)),
        unquote_to_bytes(name).decode("utf-8", "surrogateescape"),
    )


def unpack_container(container: str) -> str:
    """The path of a container (an absolute path or a source): of one in a zip or tar, of its copy in the cache folder.

    Raises `ImageError` where it cannot be copied there.
    """
    if not _ARCHIVE_PATTERN.match(container):
        return container
    try:
        return container_members.unpack_member(*_parse_source(container))
    except ImageError:
        raise
    except (
        Exception
    ) as error:  # on malformed archives zipfile, zlib and tarfile raise almost anything
        raise ImageError(_describe_error(error)) from error


def fetch_bytes(source: str) -> bytes:
    """The encoded bytes of the whole image; raises `ImageError` where they cannot be read, or are too many."""
    if source.startswith("/"):
        return read_file(source)
    address = _CROP_PATTERN.sub("", source)
    if REMOTE_PATTERN.match(address):
        return read_file(str(fetch_remote_file(address)))
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
    except (
        Exception
    ) as error:  # on malformed archives zipfile, zlib, tarfile and pyarrow raise almost anything
        file = Path(get_local_path(container) or container).name
        raise ImageError(f"cannot be read from {file}: {_describe_error(error)}") from error


def read_file(path: str) -> bytes:
    """The bytes of a regular file. A FIFO or device is refused, not waited for; so is a file that changes meanwhile.

    Raises `ImageError` with the reason.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb", buffering=0) as file:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise ImageError("not a regular file")
            if before.st_size > MAX_FILE_BYTES:
                raise ImageError(f"the file is too large ({before.st_size:,} bytes)")
            size = (
                before.st_size + 1
            )  # all that is asked for is set aside in memory first, which costs time
            data = file.read(size)
            while len(data) < before.st_size and (more := file.read(size)):
                data += more
            after = os.fstat(handle)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ImageError(f"cannot be read: {_describe_error(error)}") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(
        data
    ) != after.st_size:
        raise ImageError("changed while it was read; run again when it is complete")
    return data


def _describe_error(error: Exception) -> str:
    return (
        getattr(error, "strerror", None)
        or " ".join(str(error).split())[:120]
        or type(error).__name__
    )


def fetch_remote_file(address: str) -> Path:
    """The local copy of a remote file, fetched once through fsspec; raises `ImageError` with the reason."""
    kept = (
        container_members.cache_folder()
        / "remote"
        / hashlib.sha256(address.encode("utf-8", "replace")).hexdigest()
    )
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        data = _download_bytes(address)
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as aside:
            aside.write(data)
        os.replace(aside.name, kept)
    return kept


def _download_bytes(address: str) -> bytes:
    import fsspec  # slow to import, and seldom needed

    options: dict[str, Any] = {}
    if address.lower().startswith("http"):
        from aiohttp import ClientTimeout

        options = {
            "client_kwargs": {"timeout": ClientTimeout(total=120, sock_connect=20, sock_read=30)}
        }
    try:
        with fsspec.open(address, "rb", **options) as file:
            data: bytes = file.read(MAX_FILE_BYTES + 1)
    except Exception as error:  # each protocol has errors of its own
        raise ImageError(f"cannot be fetched: {_describe_error(error)}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"the file is too large (over {MAX_FILE_BYTES:,} bytes)")
    return data


def read_source_header(source: str, data: bytes) -> ImageHeader:
    """The header of the image, or of its box, in the bytes that were fetched; raises `ImageError`."""
    head, box = read_header(data), parse_crop_box(source)
    if box is None:
        return head
    width, height = _clamp_box(box, head)[2:]
    return ImageHeader(
        width,
        height,
        head.format,
        head.mode,
        head.captured_at,
        head.camera_model,
        head.orientation,
        head.is_animated,
    )


def _clamp_box(box: CropBox, image_header: ImageHeader) -> CropBox:
    x, y = min(box[0], image_header.width), min(box[1], image_header.height)
    width, height = min(box[2], image_header.width - x), min(box[3], image_header.height - y)
    if width < 1 or height < 1:
        raise ImageError("its box lies outside the image, or is empty")
    return x, y, width, height


def decode_source(
    source: str, data: bytes, max_side: int | None = None, image_header: ImageHeader | None = None
) -> NDArray[np.uint8]:
    """Decode the bytes of a source: uint8 [H, W, 3] RGB as `decode` makes it, cut to the box where it has one."""
    box = parse_crop_box(source)
    if box is None:
        return decode_image(data, max_side, image_header)
    whole = read_header(data)
    x, y, width, height = _clamp_box(box, whole)
    return np.ascontiguousarray(decode_image(data, None, whole)[y : y + height, x : x + width])


def open_image(source: str | Path, max_side: int | None = None) -> NDArray[np.uint8]:
    """Read and decode the image at `source` (see this module; a path may be relative): uint8 [H, W, 3] RGB, upright.

    Raises `ImageError` with a reason.
    """
    text = os.path.abspath(source) if isinstance(source, Path) else source
    return decode_source(text, fetch_bytes(text), max_side)
