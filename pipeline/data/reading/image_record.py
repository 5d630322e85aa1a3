"""Records that an adapter yields, the options it takes, and the names that all adapters share."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec

MetadataValue = str | float | int | bool | None

HAS_HEIC_READER = find_spec("pillow_heif") is not None
"""Whether the extra `heic` is installed."""
_HEIC_SUFFIXES = (".heic", ".heif", ".hif")
IMAGE_SUFFIXES = frozenset(
    (
        *(_HEIC_SUFFIXES if HAS_HEIC_READER else ()),
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
    "a HEIC image, which is read with the extra heic (pip install 'nightshift[heic]'); or convert "
    "it first, as with: heif-convert IMAGE.heic IMAGE.jpg"
)
NOT_IMAGE_REASON = "not an image file"
UNSUPPORTED_SUFFIX_HINTS = {
    **dict.fromkeys(VIDEO_SUFFIXES, VIDEO_HINT),
    **dict.fromkeys(_HEIC_SUFFIXES, HEIC_HINT),
    **dict.fromkeys(
        (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"),
        "a camera's raw image, which is not read; develop it to JPEG first",
    ),
    **dict.fromkeys(
        (".jp2", ".j2k", ".jxl", ".ico", ".tga", ".psd", ".svg", ".eps", ".dcm", ".exr", ".hdr"),
        "an image of a kind that is not read; convert it to JPEG or PNG first",
    ),
}
"""By suffix, why a file with visual content is not read, and how to make it readable."""

_NUMBER_PATTERN = re.compile(r"\d{1,7}|\d{9,}(\.\d+)?")
"""Text that may be a plain number or seconds since 1970, so it is not read as a time."""

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
"""Split names of folders and manifests in lower case, and the split that each one means."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image as an adapter lists it.

    Attributes:
        source: location of its bytes, in the syntax of `pipeline.data.reading.image_sources`: an
            absolute path, a member of an archive, an address, or a box in any of them.
        path: unique name relative to the root of the data set, with `/` as separator.
        label: class of the image, or None if it is unlabeled.
        group: images of one group depend on each other, such as the frames of one track.
        captured_at: capture time as naive local time.
        split: train, val or test; None if the data set defines no split.
        columns: all other metadata, by column name.
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
    """A file or manifest row that cannot be used, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class MixedImage(RejectedFile):
    """An image that is rejected because its boxes are of several classes."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options of an adapter.

    Attributes:
        file_column: column of a manifest that names the image files.
        label_column: column of a manifest that holds the labels.
        should_crop_boxes: whether each annotated box becomes one image.
        should_follow_links: whether links out of the data set's folder are followed.
        is_label_required: whether images without a label are rejected.
        several_labels: what becomes of an image with several labels: error, first, drop or keep
            (the combination is a class).
        table: path of the table that lists the images, relative to the data set.
        image_folder: folder of the images, relative to the data set.
        class_level: `top`, `leaf` or the number of the folder that is the class.
    """

    file_column: str | None = None
    label_column: str | None = None
    should_crop_boxes: bool = False
    should_follow_links: bool = False
    is_label_required: bool = True
    table: str | None = None
    image_folder: str | None = None
    class_level: str | int | None = None
    several_labels: str = "error"


DEFAULT_READ_OPTIONS = ReadOptions()


def is_image(path: str) -> bool:
    """Return whether a file name has the suffix of an image."""
    start = path.rfind(".")
    return path[start:].lower() in IMAGE_SUFFIXES and start > 0 and path[start - 1] != "/"


def explain_non_image(path: str) -> str:
    """Return why a file without an image suffix is rejected."""
    return UNSUPPORTED_SUFFIX_HINTS.get(os.path.splitext(path)[1].lower(), NOT_IMAGE_REASON)


def parse_split_name(name: str) -> str | None:
    """Return the only split that a file name contains (`instances_val2017.json`), or None."""
    splits = set()
    for word in re.split(r"[-_./ ]", os.path.splitext(name.lower())[0]):
        split = SPLIT_ALIASES.get(word.rstrip("0123456789"))
        if split is not None:
            splits.add(split)
    return splits.pop() if len(splits) == 1 else None


def suggest_name(name: str, known_names: Collection[str]) -> str:
    """Return the hint of an error message: the known name closest to `name`, or all known names."""
    matches = difflib.get_close_matches(name, known_names, n=1, cutoff=0.5)
    if matches:
        return f"did you mean {matches[0]}?"
    return f"known: {', '.join(known_names) or 'none'}"


def escape_invalid_bytes(text: str) -> str:
    r"""Return a file name as valid UTF-8; bytes that are not UTF-8 are written as `\xff`."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def escape_control_characters(text: str) -> str:
    r"""Return a name that is safe to print on a terminal, with control characters as `\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def parse_datetime(value: object) -> datetime | None:
    """Return a date and time as naive local time, or None if `value` cannot be parsed.

    Accepts ISO 8601 and the format of EXIF, `2024:05:31 22:40:01`. A time zone is dropped and the
    wall-clock time kept.
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    text = str(value).strip().strip("\0")
    if _NUMBER_PATTERN.fullmatch(text):
        return None
    if text[4:5] == ":" and text[7:8] == ":":
        text = text[:10].replace(":", "-") + text[10:]
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None
