"""Data sets: one file = one plugin, a function `<name>(root) -> Iterator[Photo | Rejected]`.

Beside it stands `recognises(root) -> str | None`: one line that says what was seen, or None.
A plugin lists photos and decodes none; `open_image` is the one way in which pixels come in.
"""

from __future__ import annotations

import difflib
import inspect
import io
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from pipeline import plugins
from pipeline.contracts import InputError

Value = str | float | int | bool | None

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
)
PIXEL_LIMIT = 100_000_000
"""A photo that claims more pixels is set aside: a file of a few kilobytes may unpack to gigabytes."""

SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}
"""What folders and manifests call the splits, and what they are called here."""

_CLUTTER = frozenset(("thumbs.db", "desktop.ini", "__macosx", "@eadir"))
_SIDEWAYS = (5, 6, 7, 8)
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


class ImageError(Exception):
    """The bytes are no photo that can be used; the message is a short reason for the list of rejected files."""


@dataclass(frozen=True)
class Photo:
    """One photo as an adapter lists it. source: absolute path of the bytes; path: relative to the root, with `/`.

    split: train | val | test, or None where the data set gives none. columns: whatever else is known of it.
    """

    source: str
    path: str
    label: str | None
    group: str | None = None
    captured_at: datetime | None = None
    split: str | None = None
    columns: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejected:
    """A file or manifest row that is set aside, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class Header:
    """What a photo says of itself before it is decoded: size in pixels (upright), EXIF time and camera model."""

    width: int
    height: int
    format: str
    mode: str
    taken: datetime | None
    camera: str | None


def recognise(root: Path) -> tuple[str, str]:
    """The name of the first plugin that recognises `root`, and its line on what it saw; else `InputError`."""
    for name in plugins.names("datasets"):
        words = plugins.module("datasets", name).recognises(root)
        if words:
            return name, str(words)
    known = ", ".join(plugins.names("datasets"))
    raise InputError(
        f"{root}: no data set of a kind known here ({known}); "
        "put the photos into one folder a class, or list them in a metadata.csv"
    )


def read(root: Path, adapter: str | None = None, *, label: str | None = None) -> Iterator[Photo | Rejected]:
    """Every photo and every rejected file below `root`, as `adapter` (None: the first that recognises it) lists them.

    label: the column that holds the label, for adapters that have columns.
    Raises `InputError` where the adapter is unknown or the data set cannot be read as a whole.
    """
    known = plugins.names("datasets")
    if adapter is not None and adapter not in known:
        raise InputError(f"ingest.adapter: no adapter {adapter!r}; {nearest(adapter, known)}")
    name = adapter or recognise(root)[0]
    function = plugins.load("datasets", name)
    if label is None:
        found: Iterator[Photo | Rejected] = function(root)
    elif "label" in inspect.signature(function).parameters:
        found = function(root, label=label)
    else:
        raise InputError(f"ingest.label: the adapter {name} has no label column to name; remove this key")
    return found


def walk(root: Path) -> Iterator[os.DirEntry[str]]:
    """Every file below `root`, sorted by name within its folder; hidden files and folders are passed over.

    Links to folders are followed, each real folder once. Raises `InputError` where a folder cannot be listed.
    """
    pending, visited = [str(root)], set[str]()
    while pending:
        folder = pending.pop()
        if (real := os.path.realpath(folder)) in visited:
            continue
        visited.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(f"ingest.data: {folder}: cannot be listed: {error.strerror}") from error
        seen = [e for e in entries if not e.name.startswith(".") and e.name.lower() not in _CLUTTER]
        yield from (entry for entry in seen if not entry.is_dir())
        pending.extend(entry.path for entry in reversed(seen) if entry.is_dir())


def relative(root: Path, entry: os.DirEntry[str] | str) -> str:
    """The path of an entry below `root`, with `/` on every system."""
    return os.path.relpath(entry, root).replace(os.sep, "/")


def is_image(path: str) -> bool:
    """Whether the file's name ends as an image's does."""
    return os.path.splitext(path)[1].lower() in SUFFIXES


def nearest(name: str, known: Collection[str]) -> str:
    """The hint of an error line: the name most like `name`, or all that are known."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"


def moment(value: object) -> datetime | None:
    """A date and time as naive local time (a zone is dropped, the wall clock kept), or None where it cannot be read.

    Reads ISO 8601 and EXIF's `2024:05:31 22:40:01`.
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    text = str(value).strip().strip("\0")
    if text[4:5] == ":" and text[7:8] == ":":
        text = text[:10].replace(":", "-") + text[10:]
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


def _exif(image: Image.Image) -> Image.Exif:
    if image.format not in _ENDS:
        return image.getexif()
    exif = Image.Exif()  # Pillow's own getexif would decode a whole PNG to look for a late chunk
    if "exif" in image.info:
        exif.load(image.info["exif"])
    return exif


def header(data: bytes) -> Header:
    """Read the header of an encoded photo; raises `ImageError` (empty, no image, too many pixels)."""
    if not data:
        raise ImageError("empty file")
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            exif, taken, camera = Image.Exif(), None, None
            try:
                exif = _exif(image)
                details = exif.get_ifd(ExifTags.IFD.Exif)
                taken = moment(details.get(ExifTags.Base.DateTimeOriginal, exif.get(ExifTags.Base.DateTime, "")))
                camera = str(exif.get(ExifTags.Base.Model, "")).strip("\0 ") or None
            except Exception:  # a broken EXIF block costs the time and the camera, not the photo
                pass
            kind, mode = image.format or "", "RGBA" if "transparency" in image.info else image.mode
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("too many pixels to be decoded safely") from error
    except Exception as error:  # on malformed bytes Pillow raises almost anything
        raise ImageError("not an image, or damaged") from error
    if width * height > PIXEL_LIMIT:
        raise ImageError(f"too many pixels to be decoded safely ({width} x {height})")
    if kind != "TIFF" and exif.get(ExifTags.Base.Orientation) in _SIDEWAYS:  # Pillow turns a TIFF by itself
        width, height = height, width
    return Header(width, height, kind, mode, taken, camera)


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image, dtype=np.float64)
        top = 1.0 if values.max() <= 1 and image.mode == "F" else 255.0 if values.max() <= 255 else 65535.0
        grey = np.clip(values * (255.0 / top), 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _slowly(data: bytes) -> NDArray[np.uint8]:
    """Pillow's decoder: strict on truncated files, and at home in every format and colour mode."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return _to_rgb(ImageOps.exif_transpose(image))
    except Exception as error:  # on malformed bytes Pillow raises almost anything
        raise ImageError("truncated" if "truncated" in str(error) else "damaged: it cannot be decoded") from error


def _reduced(head: Header, max_side: int | None) -> int:
    if head.format != "JPEG" or max_side is None:
        return int(cv2.IMREAD_COLOR)
    spare = max(head.width, head.height) // max(max_side, 1)
    flags = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
    return int(next((flag for factor, flag in flags.items() if spare >= factor), cv2.IMREAD_COLOR))


def decode(data: bytes, max_side: int | None = None, head: Header | None = None) -> NDArray[np.uint8]:
    """Decode a photo: uint8 [H, W, 3] RGB, upright (EXIF), 16 bit brought to 8, transparency laid on white.

    max_side: a JPEG may come at a half, a quarter or an eighth of its size, its longer side never below this.
    Raises `ImageError` with a reason (empty, no image, truncated, damaged, too many pixels).
    """
    head = head or header(data)
    plain = head.mode in ("L", "RGB") or (head.format == "PNG" and head.mode.startswith("I"))
    if not plain or head.format not in _ENDS or not data.rstrip(b"\0\r\n ").endswith(_ENDS[head.format]):
        return _slowly(data)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _reduced(head, max_side))
    if pixels is None:
        return _slowly(data)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def open_image(source: str | Path, max_side: int | None = None) -> NDArray[np.uint8]:
    """Read and `decode` the photo at `source`; an unreadable file is an `ImageError` too."""
    try:
        data = Path(source).read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}") from error
    return decode(data, max_side)


def letterbox(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Fit uint8 [H, W, 3] into [side, side, 3], proportions kept; the bars repeat the edge, so brightness is kept too.

    Shrinks by area averages (cv2.INTER_AREA), enlarges linearly.
    """
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted = pixels if (width, height) == size else cv2.resize(pixels, size, interpolation=how)
    x, y = side - size[0], side - size[1]
    boxed = cv2.copyMakeBorder(fitted, y // 2, y - y // 2, x // 2, x - x // 2, cv2.BORDER_REPLICATE)
    return np.asarray(boxed, dtype=np.uint8)
