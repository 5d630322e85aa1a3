"""What the values of a column may be: classes, splits, numbers, dates; and words of its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.data.layout.split_words import (
    build_split_mapping,
    parse_whole_split,
    split_into_words,
)
from pipeline.data.reading.image_record import is_image, parse_datetime
from pipeline.data.tables.table_files import convert_to_text

VALUE_SAMPLE_SIZE = 400
"""Values of a column that are examined: enough to tell a majority, quick for a million rows."""
CLASS_SAMPLE_SIZE = 4000
"""Values that are examined for classes; rare classes must occur among them."""
IMAGES_PER_CLASS = 3
"""A column may be the label if its values occur so often on average."""
ATTRIBUTE_WORDS = frozenset(
    [
        "sex",
        "gender",
        "age",
        "view",
        "position",
        "modality",
        "hospital",
        "city",
        "country",
        "weather",
        "annotator",
        "rater",
        "reviewer",
        "source",
        "license",
        "author",
        "license_name",
        "date",
        "time",
        "year",
        "month",
        "day",
        "hour",
        "width",
        "height",
        "size",
        "area",
        "x",
        "y",
        "xmin",
        "ymin",
        "xmax",
        "ymax",
        "roi",
        "box",
        "bbox",
        "count",
        "score",
        "confidence",
        "rating",
        "weight",
        "index",
        "frame",
        "number",
        "lat",
        "lon",
        "latitude",
        "longitude",
        "exposure",
        "iso",
        "orientation",
        "side",
        "offset",
        "folder",
        "format",
        "channel",
        "channels",
        "dataset",
        "version",
        "quality",
        "lighting",
        "make",
        "model",
        "url",
        "race",
        "ethnicity",
        "laterality",
        "anatomy",
        "localization",
    ]
)
"""Words of columns that describe an image and are hardly ever its class."""
_MAX_CLASS_CHARACTERS = 80
_DECIMAL_PATTERN = re.compile(r"-?\d*[.,]\d+(e-?\d+)?", re.IGNORECASE)
_INTEGER_PATTERN = re.compile(r"-?\d+(\.0+)?")
_DATE_PATTERN = re.compile(
    r"\d{1,4}[-/.](\d{1,2}|[A-Za-z]{3,9})[-/.]\d{1,4}([ T]\d{1,2}:\d\d(:\d\d)?)?|"
    r"\d{1,2}:\d\d(:\d\d)?"
)
_SPLIT_NAME_WORDS = frozenset(
    [
        "split",
        "splits",
        "subset",
        "set",
        "partition",
        "fold",
        "phase",
        "usage",
        "part",
        "stage",
        "purpose",
    ]
)
_TRUTHS = {"0": False, "1": True, "false": False, "true": True, "no": False, "yes": True}


@dataclass(frozen=True)
class ClassValues:
    """Values of a column that may be classes.

    Attributes:
        class_count: number of different values.
        is_numeric: whether all of them are integers.
    """

    class_count: int
    is_numeric: bool


def sample_texts(values: Sequence[Any], size: int) -> list[str]:
    """Return about `size` values of a column as text, evenly spread, without empty ones."""
    step = max(1, len(values) // size)
    texts = map(convert_to_text, values[::step])
    return [text for text in texts if text is not None]


def examine_classes(values: Sequence[Any], is_named: bool) -> ClassValues | None:
    """Return what the values are if they may be classes, else None.

    Constants, decimals, dates, addresses and values that hardly repeat are no classes.

    Args:
        values: values of the column.
        is_named: whether it is named as the label; its values may repeat less then.
    """
    texts = sample_texts(values, CLASS_SAMPLE_SIZE)
    distinct = set(texts)
    limit = len(texts) // IMAGES_PER_CLASS
    if is_named:
        limit = len(texts) - 1 if len(texts) >= 4 else len(texts)
    if not 2 <= len(distinct) <= max(2, limit):
        return None
    is_numeric = all(map(_INTEGER_PATTERN.fullmatch, distinct))
    if not is_numeric and any(map(_is_no_class, distinct)):
        return None
    return ClassValues(len(distinct), is_numeric)


def _is_no_class(text: str) -> bool:
    if _DECIMAL_PATTERN.fullmatch(text) and not _INTEGER_PATTERN.fullmatch(text):
        return True
    if len(text) > _MAX_CLASS_CHARACTERS or "://" in text or is_image(text):
        return True
    return is_date(text)


def is_date(text: str) -> bool:
    """Return whether a text is a date or a time."""
    return bool(_DATE_PATTERN.fullmatch(text)) or parse_datetime(text) is not None


def find_split_mapping(name: str, values: Sequence[Any]) -> dict[str, str] | None:
    """Return the split of each value of a column if all of them are splits, else None.

    Numbers are splits only under a name for splits: 0, 1 and 2 in a `partition`, or truths in
    a column such as `is_train`.
    """
    texts = [text for text in map(convert_to_text, values) if text is not None]
    distinct = set(texts)
    if not distinct or len(distinct) > 12:
        return None
    truths = _map_truths(name, distinct)
    if truths:
        return truths
    is_numeric = any(text.isdigit() for text in distinct)
    words = split_into_words(name)
    if is_numeric:
        is_named = any(word in _SPLIT_NAME_WORDS for word in words)
        is_mostly_train = texts.count("0") * len(distinct) >= len(texts)
        if not (is_named and is_mostly_train):
            return None
    return build_split_mapping(distinct)


def _map_truths(name: str, distinct: set[str]) -> dict[str, str] | None:
    """Return the split of each truth in a column such as `is_train` or `is_valid`."""
    words = [word for word in split_into_words(name) if word != "is"]
    split = parse_whole_split(" ".join(words)) if words else None
    truths = {text: _TRUTHS.get(text.lower()) for text in distinct}
    if split is None or None in truths.values():
        return None
    other = "test" if split == "train" else "train"
    return {text: split if truth else other for text, truth in truths.items()}


def is_same_partition(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """Return whether two columns divide the rows in the same way; empty values do not count."""
    return is_function_of(first, second) and is_function_of(second, first)


def is_function_of(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """Return whether each value of `second` occurs with one value of `first` only."""
    values: dict[Any, Any] = {}
    for one, other in zip(first, second, strict=True):
        if one is not None and other is not None and values.setdefault(other, one) != one:
            return False
    return bool(values)
