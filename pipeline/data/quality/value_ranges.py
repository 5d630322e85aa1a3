"""The range of gray values that images of 16 bits use, over a whole data set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from pipeline.data.reading.image_decoding import (
    ImageError,
    ValueRange,
    is_deep_gray,
    read_deep_values,
    read_header,
)
from pipeline.data.reading.image_record import ImageRecord
from pipeline.data.reading.image_sources import build_range_source, fetch_bytes, parse_value_range

RANGE_SAMPLE_SIZE = 200
"""Images whose values are read, evenly spread; the range is rounded up, so few are enough."""
_HEADER_SAMPLE_SIZE = 20
"""Images whose headers show whether a data set holds gray images of 16 bits."""
_DEEP_SUFFIXES = (".png", ".tif", ".tiff", ".pgm", "")
_OFFSET_SHARE = 0.25
"""Share of the highest value above which the lowest one is an offset, as in thermal images."""
_MIN_BITS, _MAX_BITS = 8, 16


def find_value_range(records: Sequence[ImageRecord]) -> ValueRange | None:
    """Return the values that become black and white; None without gray images of 16 bits.

    White is the largest value that as many bits can hold as the images use: 4095 for 12 bits. Black
    is 0, or the smallest value where all are far above 0 or some are below.
    """
    candidates = [record for record in records if _may_be_deep(record)]
    if not any(map(_is_deep, _spread(candidates, _HEADER_SAMPLE_SIZE))):
        return None
    lows, highs = [], []
    for record in _spread(candidates, RANGE_SAMPLE_SIZE):
        try:
            data = fetch_bytes(record.source)
            if is_deep_gray(read_header(data).mode):
                values = read_deep_values(data)
                lows.append(float(values.min()))
                highs.append(float(values.max()))
        except ImageError:
            continue  # it is rejected when all images are read
    return choose_value_range(min(lows), max(highs)) if lows and max(highs) > 1 else None


def choose_value_range(lowest: float, highest: float) -> ValueRange:
    """Return the values that become black and white for the values that images hold.

    >>> choose_value_range(3, 4000), choose_value_range(0, 65535), choose_value_range(-1024, 3071)
    ((0, 4095), (0, 65535), (-1024, 3071))
    """
    if lowest < 0 or lowest > _OFFSET_SHARE * highest:
        return int(np.floor(lowest)), int(np.ceil(highest))
    bits = int(np.clip(int(highest).bit_length(), _MIN_BITS, _MAX_BITS))
    return 0, 2**bits - 1


def scale_records(
    records: Sequence[ImageRecord], value_range: ValueRange | None
) -> list[ImageRecord]:
    """Return the images with sources whose gray values of 16 bits are scaled from a range."""
    if value_range is None:
        return list(records)
    return [
        replace(record, source=build_range_source(record.source, value_range))
        if _may_be_deep(record)
        else record
        for record in records
    ]


def find_used_range(sources: Iterable[str]) -> ValueRange | None:
    """Return the first range among sources, or None."""
    return next(filter(None, map(parse_value_range, sources)), None)


def _may_be_deep(record: ImageRecord) -> bool:
    path = record.path.partition("#")[0]
    return os.path.splitext(path)[1].lower() in _DEEP_SUFFIXES


def _is_deep(record: ImageRecord) -> bool:
    try:
        return is_deep_gray(read_header(fetch_bytes(record.source)).mode)
    except ImageError:
        return False


def _spread(records: Sequence[ImageRecord], count: int) -> Sequence[ImageRecord]:
    return records[:: max(1, len(records) // count)]
