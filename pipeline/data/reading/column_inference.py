"""Which column of a table is the file, the label, the group, the time, the split: by its name, then by its values."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pipeline.data.reading.image_record import SPLIT_ALIASES, is_image, parse_datetime
from pipeline.data.reading.table_files import convert_to_text

VALUE_SAMPLE_SIZE = 400  # values of a column that are looked at
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
_FILE_COLUMN_NAMES = (
    "file_name",
    "filename",
    "file",
    "image_path",
    "path",
    "image",
    "img",
    "image_id",
    "image",
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
_TIME_PATTERN = r"time|date|captured|taken"
_WORD_PATTERN = r"(^|[_ -]){}s?([_ -]|$)"

InferredColumns = dict[str, str | None]


def infer_columns(
    columns: Mapping[str, Sequence[Any]], image_stems: Collection[str] = ()
) -> InferredColumns:
    """The likeliest column for `file`, `label`, `split` and `time`, or None where none looks like it.

    endings: names without suffix of images that are there; a column called as one of files may hold these.
    """
    file = (
        _find_named_column(columns, _FILE_COLUMN_NAMES, _has_image_names)
        or next((c for c in columns if _has_image_names(columns[c])), None)
        or _find_named_column(
            columns,
            _FILE_COLUMN_NAMES,
            lambda values: _has_majority(values, lambda v: v.rpartition("/")[2] in image_stems),
        )
    )
    rest = {c: v for c, v in columns.items() if c != file}
    split = _find_named_column(
        rest, ("split", "subset", "set", "partition", "fold", "phase"), _has_split_names
    )
    rest = {c: v for c, v in rest.items() if c != split}
    label = _find_named_column(
        rest, _LABEL_COLUMN_NAMES, lambda values: True
    ) or _find_class_column(rest)
    time = next(
        (c for c in rest if re.search(_TIME_PATTERN, c.lower()) and _has_times(rest[c])), None
    )
    return {"file": file, "label": label, "split": split, "time": time}


def _find_named_column(
    columns: Mapping[str, Sequence[Any]], names: Sequence[str], predicate: Any
) -> str | None:
    plain = {re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_"): column for column in columns}
    return next(
        (plain[name] for name in names if name in plain and predicate(columns[plain[name]])), None
    )


def _sample_values(values: Sequence[Any]) -> list[Any]:
    step = max(1, len(values) // VALUE_SAMPLE_SIZE)
    return [value for value in values[::step] if value is not None]


def _has_image_names(values: Sequence[Any]) -> bool:
    return _has_majority(values, lambda value: is_image(value.partition("?")[0]))


def _has_majority(values: Sequence[Any], predicate: Callable[[str], bool]) -> bool:
    """Whether most of a column, as text, fits."""
    seen = [convert_to_text(value) or "" for value in _sample_values(values)]
    return sum(map(predicate, seen)) * 2 > len(seen)


def _has_split_names(values: Sequence[Any]) -> bool:
    seen = {str(value).lower() for value in _sample_values(values)}
    return bool(seen) and seen <= set(SPLIT_ALIASES)


def _has_times(values: Sequence[Any]) -> bool:
    seen = _sample_values(values)
    return bool(seen) and all(parse_datetime(value) for value in seen)


def _find_class_column(columns: Mapping[str, Sequence[Any]]) -> str | None:
    """The one column of text with few values, each of them often, that is not called as a group is."""
    found = []
    for column, values in columns.items():
        if any(re.search(_WORD_PATTERN.format(word), column.lower()) for word in GROUP_WORDS):
            continue
        seen = _sample_values(values)
        kinds = {str(value) for value in seen}
        if all(isinstance(v, str) and parse_datetime(v) is None for v in seen) and 2 <= len(
            kinds
        ) <= max(2, len(seen) // 3):
            found.append(column)
    return found[0] if len(found) == 1 else None
