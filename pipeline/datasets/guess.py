"""Which column of a table is the file, the label, the group, the time, the split: by its name, then by its values."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pipeline.datasets.photo import SPLITS, is_image, moment
from pipeline.datasets.tables import text

LOOK = 400  # values of a column that are looked at
GROUPS = (
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
_FILES = (
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
_LABELS = (
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
_TIME = r"time|date|captured|taken"
_WORDS = r"(^|[_ -]){}s?([_ -]|$)"

Guess = dict[str, str | None]


def guess_columns(columns: Mapping[str, Sequence[Any]], endings: Collection[str] = ()) -> Guess:
    """The likeliest column for `file`, `label`, `split` and `time`, or None where none looks like it.

    endings: names without suffix of photos that are there; a column called as one of files may hold these.
    """
    file = (
        _named(columns, _FILES, _files)
        or next((c for c in columns if _files(columns[c])), None)
        or _named(columns, _FILES, lambda values: _mostly(values, lambda v: v.rpartition("/")[2] in endings))
    )
    rest = {c: v for c, v in columns.items() if c != file}
    split = _named(rest, ("split", "subset", "set", "partition", "fold", "phase"), _splits)
    rest = {c: v for c, v in rest.items() if c != split}
    label = _named(rest, _LABELS, lambda values: True) or _only_classes(rest)
    time = next((c for c in rest if re.search(_TIME, c.lower()) and _times(rest[c])), None)
    return {"file": file, "label": label, "split": split, "time": time}


def _named(columns: Mapping[str, Sequence[Any]], names: Sequence[str], fits: Any) -> str | None:
    plain = {re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_"): column for column in columns}
    return next((plain[name] for name in names if name in plain and fits(columns[plain[name]])), None)


def _filled(values: Sequence[Any]) -> list[Any]:
    step = max(1, len(values) // LOOK)
    return [value for value in values[::step] if value is not None]


def _files(values: Sequence[Any]) -> bool:
    return _mostly(values, lambda value: is_image(value.partition("?")[0]))


def _mostly(values: Sequence[Any], fits: Callable[[str], bool]) -> bool:
    """Whether most of a column, as text, fits."""
    seen = [text(value) or "" for value in _filled(values)]
    return sum(map(fits, seen)) * 2 > len(seen)


def _splits(values: Sequence[Any]) -> bool:
    seen = {str(value).lower() for value in _filled(values)}
    return bool(seen) and seen <= set(SPLITS)


def _times(values: Sequence[Any]) -> bool:
    seen = _filled(values)
    return bool(seen) and all(moment(value) for value in seen)


def _only_classes(columns: Mapping[str, Sequence[Any]]) -> str | None:
    """The one column of text with few values, each of them often, that is not called as a group is."""
    found = []
    for column, values in columns.items():
        if any(re.search(_WORDS.format(word), column.lower()) for word in GROUPS):
            continue
        seen = _filled(values)
        kinds = {str(value) for value in seen}
        if all(isinstance(v, str) and moment(v) is None for v in seen) and 2 <= len(kinds) <= max(2, len(seen) // 3):
            found.append(column)
    return found[0] if len(found) == 1 else None
