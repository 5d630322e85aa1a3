"""Inference of the columns with file, label, time and split, from their names and values."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pipeline.data.reading.image_record import SPLIT_ALIASES, is_image, parse_datetime
from pipeline.data.tables.table_files import convert_to_text

VALUE_SAMPLE_SIZE = 400
"""Values of a column that are examined: enough to tell a majority, quick for a million rows."""
IMAGES_PER_CLASS = 3
"""A column of text may be the label if its values occur so often on average."""
GROUP_WORDS = (
    "track",
    "burst",
    "sequence",
    "video",
    "clip",
    "session",
    "series",
    "person",
    "subject",
    "patient",
    "user",
    "visit",
    "identity",
    "scene",
    "site",
    "location",
    "device",
    "camera",
)
"""Words in the name of a column that groups images, the most specific first."""
_FILE_COLUMN_NAMES = (
    "file_name",
    "filename",
    "file",
    "image_path",
    "path",
    "image",
    "img",
    "image_id",
    "photo",
    "url",
    "id",
)
_LABEL_COLUMN_NAMES = (
    "label",
    "labels",
    "class",
    "class_name",
    "classname",
    "category",
    "target",
    "species",
    "diagnosis",
    "breed",
    "tag",
    "y",
    "dx",
    "label_name",
    "class_id",
    "classid",
    "ground_truth",
)
_SPLIT_COLUMN_NAMES = ("split", "subset", "set", "partition", "fold", "phase")
_TIME_PATTERN = re.compile(r"time|date|captured|taken")

InferredColumns = dict[str, str | None]
"""Names of the columns with `file`, `label`, `split` and `time`; None for a missing one."""
TableValues = Mapping[str, Sequence[Any]]
"""Values by column name."""


def infer_columns(columns: TableValues, image_stems: Collection[str] = ()) -> InferredColumns:
    """Return the likeliest columns for `file`, `label`, `split` and `time`.

    Args:
        columns: values by column name.
        image_stems: names of existing images without their suffix; a column with the name of a
            file column may hold these.
    """
    file = _find_file_column(columns, image_stems)
    remaining = {name: values for name, values in columns.items() if name != file}
    split = _find_named_column(remaining, _SPLIT_COLUMN_NAMES, _has_split_names)
    remaining = {name: values for name, values in remaining.items() if name != split}
    label = _find_named_column(remaining, _LABEL_COLUMN_NAMES, lambda values: True)
    return {
        "file": file,
        "label": label or _find_class_column(remaining),
        "split": split,
        "time": _find_time_column(remaining),
    }


def contains_word(column: str, word: str) -> bool:
    """Return whether the name of a column contains a word, or its plural.

    >>> contains_word("Track IDs", "track"), contains_word("tracking", "track")
    (True, False)
    """
    return bool(re.search(rf"(^|[_ -]){word}s?([_ -]|$)", column.lower()))


def _find_file_column(columns: TableValues, image_stems: Collection[str]) -> str | None:
    named = _find_named_column(columns, _FILE_COLUMN_NAMES, _has_image_names)
    if named:
        return named
    for column, values in columns.items():
        if _has_image_names(values):
            return column

    def has_image_stems(values: Sequence[Any]) -> bool:
        return _has_majority(values, lambda value: value.rpartition("/")[2] in image_stems)

    return _find_named_column(columns, _FILE_COLUMN_NAMES, has_image_stems)


def _find_time_column(columns: TableValues) -> str | None:
    for column, values in columns.items():
        if _TIME_PATTERN.search(column.lower()) and _has_times(values):
            return column
    return None


def _find_named_column(
    columns: TableValues, names: Sequence[str], predicate: Callable[[Sequence[Any]], bool]
) -> str | None:
    """Return the column with the first of `names` whose values satisfy `predicate`."""
    by_name = {re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_"): column for column in columns}
    for name in names:
        if name in by_name and predicate(columns[by_name[name]]):
            return by_name[name]
    return None


def _sample_values(values: Sequence[Any]) -> list[Any]:
    step = max(1, len(values) // VALUE_SAMPLE_SIZE)
    return [value for value in values[::step] if value is not None]


def _has_image_names(values: Sequence[Any]) -> bool:
    return _has_majority(values, lambda value: is_image(value.partition("?")[0]))


def _has_majority(values: Sequence[Any], predicate: Callable[[str], bool]) -> bool:
    """Return whether most values of a column, as text, satisfy `predicate`."""
    texts = [convert_to_text(value) or "" for value in _sample_values(values)]
    return sum(map(predicate, texts)) * 2 > len(texts)


def _has_split_names(values: Sequence[Any]) -> bool:
    names = {str(value).lower() for value in _sample_values(values)}
    return bool(names) and names <= set(SPLIT_ALIASES)


def _has_times(values: Sequence[Any]) -> bool:
    sample = _sample_values(values)
    return bool(sample) and all(map(parse_datetime, sample))


def _find_class_column(columns: TableValues) -> str | None:
    """Return the only column of text with few and frequent values that does not name a group."""
    candidates = []
    for column, values in columns.items():
        if not any(contains_word(column, word) for word in GROUP_WORDS) and _has_classes(values):
            candidates.append(column)
    return candidates[0] if len(candidates) == 1 else None


def _has_classes(values: Sequence[Any]) -> bool:
    sample = _sample_values(values)
    for value in sample:
        if not isinstance(value, str) or parse_datetime(value) is not None:
            return False
    class_count = len(set(sample))
    return 2 <= class_count <= max(2, len(sample) // IMAGES_PER_CLASS)
