"""Lines that summarize a data set for people: counts, sizes, times, storage and series."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from pipeline.data.reading.image_decoding import ImageError, ImageHeader
from pipeline.data.reading.image_record import ImageRecord
from pipeline.data.reading.image_sources import fetch_bytes, read_source_header

HEADER_SAMPLE_SIZE = 400
"""Images whose headers are read, evenly spread over the data set."""
MIN_SERIES = 10
"""Series below which file names are not called series."""
SERIES_SHARE = 0.8
"""Share of images in a series of two or more below which file names are not called series."""
_MAX_LISTED_CLASSES = 12
"""Classes up to which all are listed; of more, the largest and the smallest."""
_LARGEST_LISTED = 6
_SMALLEST_LISTED = 3
_LISTED_CAMERAS = 5
_SERIES_PATTERN = re.compile(r"^(.*\D)?(\d{1,9})\D{0,3}$")
"""A name with its last number in group 2 and the text before it in group 1."""


def format_count(number: int, noun: str) -> str:
    """Return a number with a noun in its plural if necessary.

    >>> format_count(1, "class"), format_count(1200, "class"), format_count(2, "image")
    ('1 class', '1,200 classes', '2 images')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"


def format_counts(counts: Iterable[tuple[str, int]]) -> str:
    """Return names with their counts.

    >>> format_counts([("cat", 1200), ("dog", 7)])
    'cat 1,200, dog 7'
    """
    return ", ".join(f"{name} {count:,}" for name, count in counts)


def read_sample_headers(records: Sequence[ImageRecord]) -> tuple[list[ImageHeader], int]:
    """Return the headers of a sample of the images, and the number of unreadable images in it."""
    headers = []
    unreadable_count = 0
    for record in records[:: max(1, len(records) // HEADER_SAMPLE_SIZE)]:
        try:
            headers.append(read_source_header(record.source, fetch_bytes(record.source)))
        except ImageError:
            unreadable_count += 1
    return headers, unreadable_count


def format_classes(class_counts: dict[str, int]) -> str:
    """Return the number of classes, and the largest and smallest with their counts."""
    ordered = sorted(class_counts.items(), key=lambda item: (-item[1], item[0]))
    listed = format_counts(ordered)
    if len(ordered) > _MAX_LISTED_CLASSES:
        largest = format_counts(ordered[:_LARGEST_LISTED])
        listed = f"{largest}, ..., {format_counts(ordered[-_SMALLEST_LISTED:])}"
    return f"{format_count(len(class_counts), 'class')}: {listed}"


def format_sizes(headers: Sequence[ImageHeader]) -> str:
    """Return the median size of images, and the range of their sides."""
    widths = [header.width for header in headers]
    heights = [header.height for header in headers]
    sides = [*widths, *heights]
    return (
        f"{median(widths):.0f} x {median(heights):.0f} px is the median size, "
        f"{min(sides)} to {max(sides)} px the range of sides ({len(headers)} images read)"
    )


def format_times(records: Sequence[ImageRecord], headers: Sequence[ImageHeader]) -> str:
    """Return the range of the capture times in the data set, or else in EXIF."""
    source = "captured_at"
    times = [record.captured_at for record in records if record.captured_at]
    if not times:
        source = "EXIF"
        times = [header.captured_at for header in headers if header.captured_at]
    if not times:
        return "no capture times, so no slice can be described by the hour"
    return f"capture times in {source}, {min(times):%Y-%m-%d %H:%M} to {max(times):%Y-%m-%d %H:%M}"


def find_series(records: Sequence[ImageRecord]) -> tuple[int, str] | None:
    """Return the number of series that the file names suggest, and the prefix of the largest.

    Names of one series differ only in their last number. The result is None if there are fewer
    than ten series, or if more than a fifth of the images has no sibling.
    """
    prefix_counts = Counter[str]()
    for record in records:
        stem = posixpath.splitext(record.path.partition("#")[0])[0]
        match = _SERIES_PATTERN.match(stem)
        if match and re.search(r"\d", match[1] or ""):
            prefix_counts[match[1]] += 1
    series = {prefix: count for prefix, count in prefix_counts.items() if count > 1}
    if len(series) < MIN_SERIES or sum(series.values()) < SERIES_SHARE * len(records):
        return None
    return len(series), max(series, key=lambda prefix: (series[prefix], prefix))


def find_unusual_storage(image_header: ImageHeader) -> list[str]:
    """Return the unusual properties of an image's storage, such as gray or CMYK."""
    mode = image_header.mode
    properties = {
        "gray": mode in ("1", "L", "LA") or mode.startswith("I;16"),
        "CMYK": mode == "CMYK",
        "with alpha": mode in ("RGBA", "LA", "PA"),
        "16 bit": mode.startswith(("I", "F")),
        "animated": image_header.is_animated,
        "turned by EXIF": image_header.orientation != 1,
    }
    return [name for name, is_present in properties.items() if is_present]


def format_extras(
    records: Sequence[ImageRecord], headers: Sequence[ImageHeader], is_grouped: bool
) -> list[str]:
    """Return lines on cameras, unusual storage, and series that may be groups.

    Args:
        records: all images.
        headers: headers of a sample.
        is_grouped: whether groups are known, so that series are not mentioned.
    """
    lines = []
    cameras = Counter(header.camera_model for header in headers if header.camera_model)
    if cameras:
        lines.append(f"cameras in EXIF: {format_counts(cameras.most_common(_LISTED_CAMERAS))}")
    storage = Counter[str]()
    for header in headers:
        storage.update(find_unusual_storage(header))
    if storage:
        counts = [f"{count:,} {name}" for name, count in storage.most_common()]
        lines.append(f"of these {', '.join(counts)}")
    series = None if is_grouped else find_series(records)
    if series:
        lines.append(
            f"file names look like {series[0]:,} series (such as {series[1]}*): if these belong "
            "together, use the line ingest.group_pattern of the config"
        )
    return lines
