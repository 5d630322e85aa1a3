"""Images that a data set lists, files that it rejects, and a hash of both."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import read_dataset
from pipeline.data.layout.split_words import build_split_mapping
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.folder_walk import walk_files
from pipeline.data.reading.image_record import (
    SPLIT_ALIASES,
    ImageRecord,
    MetadataValue,
    ReadOptions,
    RejectedFile,
    suggest_name,
)
from pipeline.data.reading.image_sources import get_local_path

LISTED_REASONS = 5
"""Reasons for rejection that one note lists; further ones would hide the frequent ones."""


@dataclass(frozen=True)
class ColumnNames:
    """Columns of a data set that give the group, the capture time and the split.

    Attributes:
        group: column whose equal values belong together, or None for the adapter's group.
        group_pattern: regular expression with one pair of brackets, searched in the path of each
            image; the text in the brackets is the group.
        time: column with the capture time, or None for the adapter's.
        split: column with train, val or test, or None for the adapter's.
        is_split_ignored: whether the split that the data set gives is dropped.
    """

    group: str | None = None
    group_pattern: str | None = None
    time: str | None = None
    split: str | None = None
    is_split_ignored: bool = False


def resolve_data_root(data: Path | None) -> Path:
    """Return the location of the data set.

    Raises:
        InputError: it is not set, or nothing exists there.
    """
    if data is None:
        raise InputError(
            "ingest.data: no data set is given; name its folder, as in ingest.data=images"
        )
    if not data.exists() and ":" not in str(data):
        raise InputError(f"ingest.data: {data}: no such folder or file (looked in {Path.cwd()})")
    return data


def hash_listing(root: Path, adapter: str | None, options: ReadOptions) -> str:
    """Return a hash of the path, size and modification time of every file of a data set.

    A folder is hashed with all its files, an archive or a table with the files that it lists.

    Args:
        root: the data set.
        adapter: name of its adapter, None for the first that can read it.
        options: options of the adapter.
    """
    digest = hashlib.sha256()
    for path, name in _list_hashed_files(root, adapter, options):
        try:
            stat = os.stat(path)
        except (OSError, ValueError):  # a broken link: reading will reject it
            continue
        line = f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _list_hashed_files(
    root: Path, adapter: str | None, options: ReadOptions
) -> Iterator[tuple[str, str]]:
    """Yield the path of each file and the name under which it is hashed."""
    if FileTree(root).root_kind == "folder":
        top = os.path.abspath(root)
        for file in walk_files(root, options.should_follow_links):
            yield file.path, file.path[len(top) :]
        return
    paths = {str(root)}
    for item in read_dataset(root, adapter, options):
        if isinstance(item, ImageRecord):
            paths.add(get_local_path(item.source) or "")
    for path in sorted(paths):
        yield path, path


def list_records(
    root: Path, adapter: str | None, options: ReadOptions, columns: ColumnNames
) -> tuple[list[ImageRecord], list[RejectedFile]]:
    """Return the images of a data set by path, and what is rejected before decoding.

    An image is rejected that has no label, has an unknown split or is listed twice.

    Args:
        root: the data set.
        adapter: name of its adapter, None for the first that can read it.
        options: options of the adapter.
        columns: columns that the config names.

    Raises:
        InputError: no image has a column that the config names.
    """
    records: list[ImageRecord] = []
    rejected: list[RejectedFile] = []
    for item in read_dataset(root, adapter, options):
        if isinstance(item, RejectedFile):
            rejected.append(item)
        else:
            records.append(item)
    _require_columns(columns, records)
    images: dict[str, ImageRecord] = {}
    splits = _read_splits(records, columns)
    for record, split in zip(records, splits, strict=True):
        if not record.label:
            rejected.append(RejectedFile(record.path, "no label"))
        elif split and split not in SPLIT_ALIASES:
            rejected.append(RejectedFile(record.path, "its split is none of train, val and test"))
        elif record.path in images:
            rejected.append(RejectedFile(record.path, "listed more than once"))
        else:
            images[record.path] = replace(record, split=SPLIT_ALIASES[split] if split else None)
    return [images[path] for path in sorted(images)], rejected


def _read_splits(records: Sequence[ImageRecord], columns: ColumnNames) -> list[str | None]:
    """Return the split that the column, or without a column the adapter, gives each image.

    Raises:
        InputError: most values of the column are no splits.
    """
    if columns.is_split_ignored:
        return [None] * len(records)
    if columns.split in (None, "split"):
        return [record.split for record in records]
    values = [_read_text(record.columns.get(str(columns.split))) for record in records]
    known = build_split_mapping([value for value in values if value]) or {}
    splits: list[str | None] = []
    for value in values:
        mapping = known or (value and build_split_mapping([value])) or {}
        splits.append(mapping.get(value, value.lower()) if value else None)
    unknown = Counter(
        v for v, s in zip(values, splits, strict=True) if s and s not in SPLIT_ALIASES
    )
    if unknown.total() * 2 > len(records):
        words = ", ".join(f"{value} ({count})" for value, count in unknown.most_common(6))
        raise InputError(
            f"ingest.split: the values of {columns.split!r} are not train, val or test: {words}; "
            "write such words, or 0, 1 and 2, into it, or remove ingest.split"
        )
    return splits


def _read_text(value: MetadataValue) -> str:
    """Return a value as text; 0 is a value, and None is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def require_learnable_split(records: Sequence[ImageRecord]) -> None:
    """Raise `InputError` if the given training part holds one class, and there are several.

    Images without a split are drawn into it as well, so that it may hold more.
    """
    if any(record.split is None for record in records):
        return
    trained = {record.label for record in records if record.split == "train"}
    classes = {record.label for record in records}
    if len(trained) == 1 and len(classes) > 1:
        others = sorted(str(label) for label in classes - trained)
        raise InputError(
            f"ingest.data: the data set's own training part holds one class, {trained.pop()!r}; "
            f"{', '.join(others[:4])} are in its other parts only; ingest.given_split=ignore draws "
            "a new split"
        )


def _require_columns(columns: ColumnNames, records: Sequence[ImageRecord]) -> None:
    """Raise `InputError`, before anything is decoded, for a column that no image has."""
    if not records:
        return
    known: dict[str, None] = {}
    for record in records:
        known.update(dict.fromkeys(record.columns))
    # EXIF may add a camera; the other names are fields of every record
    always_known = {"group": ("group", "camera"), "time": ("captured_at",), "split": ("split",)}
    for key, extra in always_known.items():
        column = getattr(columns, key)
        if column is not None and column not in known and column not in extra:
            hint = suggest_name(column, [*known, *extra])
            raise InputError(f"ingest.{key}: the data set has no column {column!r}; {hint}")


def describe_rejections(
    rejected: Sequence[RejectedFile], records: Sequence[ImageRecord], used_classes: set[str]
) -> list[str]:
    """Return notes on the rejected files, and on classes without a usable image.

    Args:
        rejected: files and, with a trailing `/`, folders.
        records: images that the data set lists.
        used_classes: classes of the images that could be decoded.
    """
    notes = []
    files = Counter(item.reason for item in rejected if not item.path.endswith("/"))
    if files:
        parts = [f"{count} {reason}" for reason, count in files.most_common(LISTED_REASONS)]
        if len(files) > LISTED_REASONS:
            parts.append("...")
        notes.append(f"{files.total()} files were rejected: {'; '.join(parts)}")
    notes += [item.reason for item in rejected if item.path.endswith("/")]
    unused = {str(record.label) for record in records} - used_classes
    notes += [f"class {label} has no usable image; it is left out" for label in sorted(unused)]
    return notes


def require_two_classes(
    root: Path, class_names: Sequence[str], rejected: Sequence[RejectedFile], image_count: int
) -> None:
    """Raise `InputError` unless the usable images are of two classes at least.

    Args:
        root: the data set.
        class_names: classes of the usable images.
        rejected: rejected files; their most frequent reason is part of the message.
        image_count: number of usable images.
    """
    if not class_names:
        why = ""
        for reason, count in Counter(item.reason for item in rejected).most_common(1):
            why = f"; most often: {reason} ({count} of {len(rejected)})"
        raise InputError(f"ingest.data: {root}: no image in it can be used{why}")
    if len(class_names) == 1:
        raise InputError(
            f"ingest.data: {root}: all {image_count} images are of one class, "
            f"{class_names[0]!r}; a classifier needs at least two"
        )
