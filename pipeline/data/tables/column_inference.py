"""Inference of the columns with file, label, time and split, from their values and names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.data.layout.image_index import ImageIndex, clean_listed_name
from pipeline.data.layout.split_words import split_into_words
from pipeline.data.reading.image_record import is_image, parse_datetime
from pipeline.data.tables.column_kinds import (
    ATTRIBUTE_WORDS,
    VALUE_SAMPLE_SIZE,
    ClassValues,
    examine_classes,
    find_split_mapping,
    is_function_of,
    is_same_partition,
    sample_texts,
)
from pipeline.data.tables.group_words import has_group_name

_FILE_COLUMN_NAMES = [
    "file_name",
    "filename",
    "file",
    "filepath",
    "filepaths",
    "path",
    "image_path",
    "image_name",
    "image",
    "img",
    "image_id",
    "photo",
    "url",
    "id",
    "id_code",
    "name",
]
_LABEL_COLUMN_NAMES = [
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
    "choice",
    "finding",
    "predictionstring",
]
_LABEL_WORDS = frozenset(
    [
        "label",
        "labels",
        "class",
        "classes",
        "classname",
        "classid",
        "category",
        "categories",
        "target",
        "species",
        "diagnosis",
        "breed",
        "finding",
        "findings",
        "disease",
        "choice",
        "dx",
        "condition",
        "tag",
    ]
)
MIN_COVERED_IMAGES = 20
"""Images below which a column with repeated values is not taken for the names of all images."""
_CONVENTIONAL_LABELS = ("label", "labels")
_TAXON_NAMES = frozenset(
    ["kingdom", "phylum", "class", "order", "family", "genus", "species", "subspecies"]
)
_TIME_PATTERN = re.compile(r"time|date|captured|taken")
_MANY_MARKS = 3
_MAX_CLASS_NUMBERS = 50
"""Integers up to which an unnamed column of 0, 1, 2, ... may be class numbers."""

TableValues = Mapping[str, Sequence[Any]]
"""Values by column name."""


@dataclass(frozen=True)
class LabelCandidate:
    """A column that may be the label.

    Attributes:
        column: its name.
        class_count: number of its values.
        rank: 0 by its exact name, 1 by a word of its name, 2 for text, 3 for class numbers, 4 for
            columns that hardly are the label.
        is_numeric: whether its values are integers.
    """

    column: str
    class_count: int
    rank: int
    is_numeric: bool


@dataclass(frozen=True)
class InferredColumns:
    """The likeliest columns of a table; None for a missing or an undecided one.

    Attributes:
        file: column that names the images.
        label: column of the classes.
        split: column of train, val and test.
        time: column of the capture time.
        rivals: columns that may be meant instead, by `file` and `label`.
        candidates: columns that may be the label, the likeliest first.
    """

    file: str | None = None
    label: str | None = None
    split: str | None = None
    time: str | None = None
    rivals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    candidates: tuple[LabelCandidate, ...] = ()

    @property
    def is_label_named(self) -> bool:
        """Whether the label's column is named as one."""
        return any(c.column == self.label and c.rank <= 1 for c in self.candidates)


def infer_columns(columns: TableValues, images: ImageIndex | None = None) -> InferredColumns:
    """Return the likeliest columns for file, label, split and time.

    Args:
        columns: values by column name.
        images: the images that exist; None if they are not known, as for a table of addresses.
    """
    file, file_rivals = _find_file_column(columns, images)
    remaining = {name: values for name, values in columns.items() if name != file}
    split = _find_split_column(remaining)
    remaining = {n: v for n, v in remaining.items() if n not in (split, "split")}
    candidates = find_label_candidates(remaining)
    label = choose_label(remaining, candidates)
    label_rivals = tuple(c.column for c in candidates if c.column != label and c.rank < 4)
    return InferredColumns(
        file,
        label,
        split,
        _find_time_column(remaining),
        {"file": file_rivals, "label": label_rivals},
        tuple(candidates),
    )


def _find_file_column(
    columns: TableValues, images: ImageIndex | None
) -> tuple[str | None, tuple[str, ...]]:
    """Return the column whose values name images, and the runner-ups."""
    scores: list[tuple[tuple[float, ...], str]] = []
    for number, (column, values) in enumerate(columns.items()):
        texts = sample_texts(values, VALUE_SAMPLE_SIZE)
        if not texts:
            continue
        found = [bool(images.find_by_name(text)) for text in texts] if images else []
        is_named_image = [is_image(clean_listed_name(text)) for text in texts]
        match_share = sum(found) / len(texts)
        suffix_share = sum(is_named_image) / len(texts)
        variety = len(set(texts)) / len(texts)
        # a table may list each image often, as with one row for each of its labels
        is_repeated = variety <= 0.5 and not (images and _covers_images(values, images))
        if suffix_share <= 0.5 and (match_share <= 0.5 or is_repeated):
            continue
        score = (round(match_share, 1), round(suffix_share, 1), -_rank_file_name(column), -number)
        scores.append((score, column))
    if not scores:
        return None, ()
    ordered = [column for _, column in sorted(scores, reverse=True)]
    return ordered[0], tuple(ordered[1:])


def _covers_images(values: Sequence[Any], images: ImageIndex) -> bool:
    """Return whether a column has a value for half of the images or more."""
    return len({str(value) for value in values}) * 2 >= max(len(images.images), MIN_COVERED_IMAGES)


def _rank_file_name(column: str) -> int:
    name = _normalize_name(column)
    if name in _FILE_COLUMN_NAMES:
        return _FILE_COLUMN_NAMES.index(name)
    return len(_FILE_COLUMN_NAMES)


def _normalize_name(column: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")


def _find_split_column(columns: TableValues) -> str | None:
    found = [name for name, values in columns.items() if find_split_mapping(name, values)]
    named = [n for n in found if {"split", "subset", "set"} & set(split_into_words(n))]
    return next(iter(named or found), None)


def _find_time_column(columns: TableValues) -> str | None:
    for column, values in columns.items():
        if _TIME_PATTERN.search(column.lower()) and _has_times(values):
            return column
    return None


def _has_times(values: Sequence[Any]) -> bool:
    step = max(1, len(values) // VALUE_SAMPLE_SIZE)
    sample = [value for value in values[::step] if value is not None]
    return bool(sample) and all(map(parse_datetime, sample))


def find_label_candidates(columns: TableValues) -> list[LabelCandidate]:
    """Return the columns that may be the label, the likeliest first.

    Columns that divide the rows equally are one candidate: the one with words instead of numbers.
    """
    is_taxonomy = len(_TAXON_NAMES & {_normalize_name(name) for name in columns}) >= 3
    candidates: list[LabelCandidate] = []
    for column, values in columns.items():
        rank = _rank_label_name(column, is_taxonomy)
        found = examine_classes(values, is_named=rank <= 1)
        if found and find_split_mapping(column, values) is None:
            candidates.append(_build_candidate(column, found, rank))
    candidates.sort(key=lambda c: (c.rank, c.is_numeric, _rank_exact_name(c.column)))
    merged: list[LabelCandidate] = []
    for candidate in candidates:
        twin = _find_twin(candidate, merged, columns)
        if twin is None:
            merged.append(candidate)
        elif twin.is_numeric and not candidate.is_numeric and candidate.rank < 4:
            position = merged.index(twin)
            merged[position] = LabelCandidate(
                candidate.column, candidate.class_count, twin.rank, False
            )
    return merged


def _build_candidate(column: str, found: ClassValues, rank: int) -> LabelCandidate:
    is_class_number = found.is_numeric and found.class_count <= _MAX_CLASS_NUMBERS
    if rank == 2 and found.is_numeric:
        rank = 3 if is_class_number else 4
    return LabelCandidate(column, found.class_count, rank, found.is_numeric)


def _find_twin(
    candidate: LabelCandidate, others: Sequence[LabelCandidate], columns: TableValues
) -> LabelCandidate | None:
    """Return another candidate that divides the rows equally."""
    for other in others:
        if other.class_count == candidate.class_count and is_same_partition(
            columns[other.column], columns[candidate.column]
        ):
            return other
    return None


def _rank_label_name(column: str, is_taxonomy: bool) -> int:
    words = split_into_words(column)
    name = _normalize_name(column)
    if is_taxonomy and name in _TAXON_NAMES:
        return 1
    if name in _LABEL_COLUMN_NAMES:
        return 0
    if has_group_name(column) or any(word in ATTRIBUTE_WORDS for word in words):
        return 4
    return 1 if any(word in _LABEL_WORDS for word in words) else 2


def _rank_exact_name(column: str) -> int:
    name = _normalize_name(column)
    return _LABEL_COLUMN_NAMES.index(name) if name in _LABEL_COLUMN_NAMES else 99


def choose_label(columns: TableValues, candidates: Sequence[LabelCandidate]) -> str | None:
    """Return the column of the label, or None if the evidence does not decide.

    The best rank decides if it holds one candidate, or one called `label`. Columns of which one is
    a refinement of the other, as species is of family, are never decided by name.
    """
    if not candidates or candidates[0].rank == 4:
        return None
    first = candidates[0]
    rivals = [c for c in candidates[1:] if c.rank == first.rank]
    if first.rank > 0 and first.is_numeric and _has_many_marks(columns, candidates):
        return None
    if not rivals:
        is_sure = first.rank < 3 or _has_class_numbers(columns[first.column])
        return first.column if is_sure else None
    is_conventional = _normalize_name(first.column) in _CONVENTIONAL_LABELS
    nested = [c for c in rivals if _is_nested(columns[first.column], columns[c.column])]
    return first.column if is_conventional and not nested else None


def _has_many_marks(columns: TableValues, candidates: Sequence[LabelCandidate]) -> bool:
    """Return whether three columns or more hold 0 and 1 (or -1), as one for each class does."""
    marked = 0
    for candidate in candidates:
        texts = sample_texts(columns[candidate.column], VALUE_SAMPLE_SIZE)
        marked += {text.removesuffix(".0") for text in texts} <= {"-1", "0", "1"}
    return marked >= _MANY_MARKS


def _is_nested(first: Sequence[Any], second: Sequence[Any]) -> bool:
    return is_function_of(first, second) or is_function_of(second, first)


def _has_class_numbers(values: Sequence[Any]) -> bool:
    """Return whether integers count classes, as 0, 1, 2 or 1, 2, 3 do."""
    numbers = {int(float(text)) for text in sample_texts(values, VALUE_SAMPLE_SIZE)}
    return min(numbers) in (0, 1) and max(numbers) - min(numbers) < 2 * len(numbers)
