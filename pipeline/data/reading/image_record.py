"""What an adapter yields, what it may be told, and the words that all adapters share."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

MetadataValue = str | float | int | bool | None

IMAGE_SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".bmp",
        ".tif",
        ".tiff",
        ".gif",
        ".ppm",
        ".pgm",
        ".avif",
    )
)
TABLE_SUFFIXES = frozenset((".csv", ".tsv", ".jsonl", ".parquet", ".xlsx"))
VIDEO_SUFFIXES = frozenset(
    (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp")
)
VIDEO_HINT = "a video; cut it into images first, as with: ffmpeg -i VIDEO -vf fps=1 CLASS/%05d.jpg"
HEIC_HINT = (
    "a HEIC image, which is not read; convert it first, as with: heif-convert PHOTO.heic PHOTO.jpg"
)
NOT_IMAGE_REASON = "not an image file"
UNSUPPORTED_SUFFIX_HINTS = {
    **dict.fromkeys(VIDEO_SUFFIXES, VIDEO_HINT),
    **dict.fromkeys((".heic", ".heif", ".hif"), HEIC_HINT),
    **dict.fromkeys(
        (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"),
        "a camera's raw image, which is not read; develop it to JPEG first",
    ),
    **dict.fromkeys(
        (".jp2", ".j2k", ".jxl", ".ico", ".tga", ".psd", ".svg", ".eps", ".dcm", ".exr", ".hdr"),
        "an image of a kind that is not read; convert it to JPEG or PNG first",
    ),
}
"""By suffix, why a file that shows something is not read, and what makes it readable."""

SPLIT_ALIASES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""What folders and manifests call the splits, and what they are called here."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image as an adapter lists it. source: where its bytes are (see `pipeline.data.reading.image_sources`: an absolute
    path, a member of an archive, an address, a box in one of these); path: relative to the root, with `/`, unique.

    split: train | val | test, or None where the data set gives none. columns: whatever else is known of it.
    """

    source: str
    path: str
    label: str | None
    group: str | None = None
    captured_at: datetime | None = None
    split: str | None = None
    columns: Mapping[str, MetadataValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RejectedFile:
    """A file or manifest row that is set aside, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a user may tell an adapter. file, label: columns of a manifest; boxes: each annotated box is a image of its
    own; links: links that lead out of the data set's folder are followed too; labeled: a image must have a label."""

    file: str | None = None
    label: str | None = None
    boxes: bool = False
    should_follow_links: bool = False
    is_label_required: bool = True


DEFAULT_READ_OPTIONS = ReadOptions()


def is_image(path: str) -> bool:
    """Whether the file's name ends as an image's does."""
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES


def explain_non_image(path: str) -> str:
    """Why a file whose name does not end as an image's is set aside."""
    return UNSUPPORTED_SUFFIX_HINTS.get(os.path.splitext(path)[1].lower(), NOT_IMAGE_REASON)


def parse_split_name(name: str) -> str | None:
    """The split that a file's name speaks of (`instances_val2017.json`), where it is one."""
    words = re.split(r"[-_./ ]", os.path.splitext(name.lower())[0])
    found = {
        SPLIT_ALIASES[word.rstrip("0123456789")]
        for word in words
        if word.rstrip("0123456789") in SPLIT_ALIASES
    }
    return found.pop() if len(found) == 1 else None


def suggest_name(name: str, known_names: Collection[str]) -> str:
    """The hint of an error line: the name most like `name`, or all that are known."""
    near = difflib.get_close_matches(name, known_names, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known_names) or 'none'}"


def escape_invalid_bytes(text: str) -> str:
    """Text that any file can hold: bytes of a file name that are no UTF-8 are written as `\\xff`."""
    return (
        text
        if text.isascii()
        else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    )


def escape_control_characters(text: str) -> str:
    """A name as a terminal may show it: control characters are written out (`\\n`, `\\x1b`)."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def parse_datetime(value: object) -> datetime | None:
    """A date and time as naive local time (a zone is dropped, the wall clock kept), or None where it cannot be read.

    Reads ISO 8601 and EXIF's `2024:05:31 22:40:01`.
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    text = str(value).strip().strip("\0")
    if re.fullmatch(
        r"\d{1,7}|\d{9,}(\.\d+)?", text
    ):  # a number or seconds since 1970: nobody said which
        return None
    if text[4:5] == ":" and text[7:8] == ":":
        text = text[:10].replace(":", "-") + text[10:]
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None
