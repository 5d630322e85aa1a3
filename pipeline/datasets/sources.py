"""Where a photo's bytes are, as one line of text, and how they are read.

An absolute path stands for itself. Everything else is `kind:container!member`, both percent-encoded: `file:` (a name
that is no UTF-8), `zip:`, `tar:`, `idx:`, `npz:`, `arrow:`, whose container is an absolute path, or again a source
(`zip:` or `tar:`); or an address such as `https://...` or `s3://...`. A box in a photo is a fragment
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

from pipeline.datasets import members
from pipeline.datasets.picture import Header, ImageError, decode, header
from pipeline.remote import cache_folder

FILE_LIMIT = 300_000_000
"""Bytes of one photo's file; a larger one is set aside unread."""
REMOTE = re.compile(r"(s3|gs|gcs|az|abfs|https?|hf|memory)://[^:]", re.IGNORECASE)

_ARCHIVED = re.compile(r"(zip|tar):")
_BOX = re.compile(r"#xywh=(\d+),(\d+),(\d+),(\d+)$")
Box = tuple[int, int, int, int]


def _packed(path: str) -> str:
    """A path percent-encoded, so that it never begins as an address does."""
    packed = quote(os.fsencode(path))
    return f"%2F{packed[1:]}" if packed.startswith("//") else packed


def local(path: str) -> str:
    """The source of a file at an absolute path."""
    return path if path.isascii() or _is_text(path) else f"file:{_packed(path)}"


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def member(kind: str, container: str, name: str) -> str:
    """The source of something in a container (absolute path, or source in a zip or tar), such as a file in a zip."""
    return f"{kind}:{_packed(container)}!{quote(name.encode('utf-8', 'surrogateescape'))}"


def boxed(source: str, box: Box) -> str:
    """The source of a box (x, y, width, height in px of the upright photo) in another source."""
    plain = f"file:{_packed(source)}" if source.startswith("/") else source
    return f"{plain}#xywh={','.join(map(str, box))}"


def box_of(source: str) -> Box | None:
    """The box of a source that is one."""
    found = None if source.startswith("/") else _BOX.search(source)
    return (int(found[1]), int(found[2]), int(found[3]), int(found[4])) if found else None


def path_of(source: str) -> str | None:
    """The file on this machine in which the bytes are; None for an address."""
    if source.startswith("/"):
        return source
    if _BOX.sub("", source).partition(":")[2].startswith("//"):
        return None
    container = _parts(source)[1]
    return path_of(container) if _ARCHIVED.match(container) else container


def _parts(source: str) -> tuple[str, str, str]:
    """Kind, container and member of a source that is neither a path nor an address."""
    kind, _, rest = _BOX.sub("", source).partition(":")
    container, _, name = rest.partition("!")
    return kind, os.fsdecode(unquote_to_bytes(container)), unquote_to_bytes(name).decode("utf-8", "surrogateescape")


def on_disk(container: str) -> str:
    """The path of a container (an absolute path or a source): of one in a zip or tar, of its copy in the cache folder.

    Raises `ImageError` where it cannot be copied there.
    """
    if not _ARCHIVED.match(container):
        return container
    try:
        return members.unpacked(*_parts(container))
    except ImageError:
        raise
    except Exception as error:  # on malformed archives zipfile, zlib and tarfile raise almost anything
        raise ImageError(_words(error)) from error


def fetch(source: str) -> bytes:
    """The encoded bytes of the whole photo; raises `ImageError` where they cannot be read, or are too many."""
    if source.startswith("/"):
        return read_file(source)
    address = _BOX.sub("", source)
    if REMOTE.match(address):
        return read_file(str(cached(address)))
    kind, container, name = _parts(source)
    return read_file(container) if kind == "file" else _inside(kind, container, name)


def _inside(kind: str, container: str, name: str) -> bytes:
    reader: Callable[[str, str, int], bytes] | None = members.READERS.get(kind)
    if reader is None:
        raise ImageError(f"cannot be read: no source of kind {kind!r} is known")
    try:
        return reader(on_disk(container), name, FILE_LIMIT)
    except ImageError:
        raise
    except Exception as error:  # on malformed archives zipfile, zlib, tarfile and pyarrow raise almost anything
        file = Path(path_of(container) or container).name
        raise ImageError(f"cannot be read from {file}: {_words(error)}") from error


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
            if before.st_size > FILE_LIMIT:
                raise ImageError(f"the file is too large ({before.st_size:,} bytes)")
            size = before.st_size + 1  # all that is asked for is set aside in memory first, which costs time
            data = file.read(size)
            while len(data) < before.st_size and (more := file.read(size)):
                data += more
            after = os.fstat(handle)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ImageError(f"cannot be read: {_words(error)}") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(data) != after.st_size:
        raise ImageError("changed while it was read; run again when it is complete")
    return data


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())[:120] or type(error).__name__


def cached(address: str) -> Path:
    """The local copy of a remote file, fetched once through fsspec; raises `ImageError` with the reason."""
    kept = cache_folder() / "remote" / hashlib.sha256(address.encode("utf-8", "replace")).hexdigest()
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        data = _download(address)
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as aside:
            aside.write(data)
        os.replace(aside.name, kept)
    return kept


def _download(address: str) -> bytes:
    import fsspec  # slow to import, and seldom needed

    options: dict[str, Any] = {}
    if address.lower().startswith("http"):
        from aiohttp import ClientTimeout

        options = {"client_kwargs": {"timeout": ClientTimeout(total=120, sock_connect=20, sock_read=30)}}
    try:
        with fsspec.open(address, "rb", **options) as file:
            data: bytes = file.read(FILE_LIMIT + 1)
    except Exception as error:  # each protocol has errors of its own
        raise ImageError(f"cannot be fetched: {_words(error)}") from error
    if len(data) > FILE_LIMIT:
        raise ImageError(f"the file is too large (over {FILE_LIMIT:,} bytes)")
    return data


def look(source: str, data: bytes) -> Header:
    """The header of the photo, or of its box, in the bytes that were fetched; raises `ImageError`."""
    head, box = header(data), box_of(source)
    if box is None:
        return head
    width, height = _clamped(box, head)[2:]
    return Header(width, height, head.format, head.mode, head.taken, head.camera, head.orientation, head.animated)


def _clamped(box: Box, head: Header) -> Box:
    x, y = min(box[0], head.width), min(box[1], head.height)
    width, height = min(box[2], head.width - x), min(box[3], head.height - y)
    if width < 1 or height < 1:
        raise ImageError("its box lies outside the photo, or is empty")
    return x, y, width, height


def pixels_of(source: str, data: bytes, max_side: int | None = None, head: Header | None = None) -> NDArray[np.uint8]:
    """Decode the bytes of a source: uint8 [H, W, 3] RGB as `decode` makes it, cut to the box where it has one."""
    box = box_of(source)
    if box is None:
        return decode(data, max_side, head)
    whole = header(data)
    x, y, width, height = _clamped(box, whole)
    return np.ascontiguousarray(decode(data, None, whole)[y : y + height, x : x + width])


def open_image(source: str | Path, max_side: int | None = None) -> NDArray[np.uint8]:
    """Read and decode the photo at `source` (see this module; a path may be relative): uint8 [H, W, 3] RGB, upright.

    Raises `ImageError` with a reason.
    """
    text = os.path.abspath(source) if isinstance(source, Path) else source
    return pixels_of(text, fetch(text), max_side)
