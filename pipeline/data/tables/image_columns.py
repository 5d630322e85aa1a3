"""Columns of the artifact `images`: ids, labels, groups, capture times and the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from pipeline.attributes import list_attributes
from pipeline.contracts import InputError, TableContract
from pipeline.data.reading.dataset_listing import ColumnNames
from pipeline.data.reading.image_intake import LoadedImage
from pipeline.data.reading.image_record import MetadataValue, parse_datetime, suggest_name
from pipeline.data.reading.pattern_search import search_first_groups
from pipeline.domain.group_source import CAMERA_COLUMN, GroupSource
from pipeline.graph import ARTIFACT_CONTRACTS

_IMAGES_CONTRACT = ARTIFACT_CONTRACTS["images"]
assert isinstance(_IMAGES_CONTRACT, TableContract)
_RESERVED_COLUMNS = ("split", "fold", *_IMAGES_CONTRACT.columns)


def build_images_table(
    loaded_images: Sequence[LoadedImage], columns: ColumnNames, add_note: Callable[[str], None]
) -> pd.DataFrame:
    """Return the artifact `images`, one row for each image in the same order.

    Args:
        loaded_images: images that could be decoded.
        columns: columns that give the group and the capture time.
        add_note: called with a line for each column that was renamed or holds unreadable times.

    Raises:
        InputError: no image has the column of the group.
    """
    user_columns = _collect_user_columns(loaded_images, add_note)
    groups, sources = _assign_groups(loaded_images, columns, user_columns)
    times = _read_capture_times(loaded_images, columns.time or "captured_at", add_note)
    headers = [image.header for image in loaded_images]
    records = [image.record for image in loaded_images]
    own: dict[str, Any] = {
        "image_id": [image.image_id for image in loaded_images],
        "content_hash": [image.content_hash for image in loaded_images],
        "path": [record.path for record in records],
        "source": [record.source for record in records],
        "label": [record.label for record in records],
        "group": groups,
        "group_source": pd.Series(sources, dtype="str"),
        "captured_at": pd.Series(times, dtype="datetime64[us]"),
        "width": pd.Series([header.width for header in headers], dtype="int64"),
        "height": pd.Series([header.height for header in headers], dtype="int64"),
        "given_split": pd.Series([record.split for record in records], dtype="str"),
    }
    return pd.DataFrame({**own, **user_columns})


def _collect_user_columns(
    loaded_images: Sequence[LoadedImage], add_note: Callable[[str], None]
) -> dict[str, pd.Series[Any]]:
    """Return the user's columns; `_` is appended to a name that the pipeline needs for itself."""
    names: dict[str, None] = {}
    for image in loaded_images:
        names.update(dict.fromkeys(image.record.columns))
    columns: dict[str, pd.Series[Any]] = {}
    for name in names:
        columns[name] = _build_column([image.record.columns.get(name) for image in loaded_images])
    models = [image.header.camera_model for image in loaded_images]
    if CAMERA_COLUMN not in columns and any(models):
        columns[CAMERA_COLUMN] = _build_column(models)
    return _rename_reserved_columns(columns, add_note)


def _build_column(values: Sequence[MetadataValue]) -> pd.Series[Any]:
    """Return a column of one dtype: bool, int64 or float64 if every value is such, else str."""
    kinds = {type(value) for value in values if value is not None}
    is_complete = None not in values
    if kinds == {bool} and is_complete:
        return pd.Series(values, dtype="bool")
    if kinds and kinds <= {int, float}:
        is_integer = kinds == {int} and is_complete
        return pd.Series(values, dtype="int64" if is_integer else "float64")
    return pd.Series([None if value is None else str(value) for value in values], dtype="str")


def _rename_reserved_columns(
    columns: Mapping[str, pd.Series[Any]], add_note: Callable[[str], None]
) -> dict[str, pd.Series[Any]]:
    taken = {*_RESERVED_COLUMNS, *list_attributes()}
    renamed = {}
    changes = []
    for name, values in columns.items():
        new_name = name
        while new_name in taken:
            new_name += "_"
        taken.add(new_name)
        renamed[new_name] = values
        if new_name != name:
            changes.append(f"{name} -> {new_name}")
    if changes:
        add_note(f"columns renamed, their names are taken: {', '.join(changes)}")
    return renamed


def _assign_groups(
    loaded_images: Sequence[LoadedImage],
    columns: ColumnNames,
    user_columns: Mapping[str, pd.Series[Any]],
) -> tuple[list[str], list[str]]:
    """Return group and `GroupSource` of each image; one without a group forms one by its bytes."""
    groups, sources = [], []
    values = _read_group_values(loaded_images, columns, user_columns)
    for value, image in zip(values, loaded_images, strict=True):
        groups.append(str(value) if value else image.content_hash)
        sources.append(str(GroupSource.GIVEN if value else GroupSource.BYTES))
    return groups, sources


def _read_group_values(
    loaded_images: Sequence[LoadedImage],
    columns: ColumnNames,
    user_columns: Mapping[str, pd.Series[Any]],
) -> list[MetadataValue]:
    """Return the match of the pattern in each path, the values of the column, or the adapter's."""
    records = [image.record for image in loaded_images]
    if columns.group_pattern is not None:
        paths = [record.path for record in records]
        groups = search_first_groups(columns.group_pattern, paths, "ingest.group_pattern")
        return list(groups)
    if columns.group in (None, "group"):
        return [record.group for record in records]
    if columns.group in user_columns:
        values = user_columns[columns.group]
        return [None if pd.isna(value) else str(value) for value in values]
    if any(columns.group in record.columns for record in records):  # a renamed column
        original = [record.columns.get(columns.group) for record in records]
        return [None if value is None else str(value) for value in original]
    hint = suggest_name(str(columns.group), [*user_columns, "group"])
    raise InputError(f"ingest.group: the data set has no column {columns.group!r}; {hint}")


def _read_capture_times(
    loaded_images: Sequence[LoadedImage], column: str, add_note: Callable[[str], None]
) -> list[datetime | None]:
    """Return the time in the column, else the adapter's, else that of the EXIF header."""
    times = []
    unreadable = []
    for image in loaded_images:
        text = image.record.columns.get(column)
        time = None if text is None else parse_datetime(text)
        if text is not None and time is None:
            unreadable.append(str(text))
        times.append(time or image.record.captured_at or image.header.captured_at)
    if unreadable:
        count = len(unreadable)
        add_note(f"{count} capture times in {column} cannot be read, such as {unreadable[0]!r}")
    return times
