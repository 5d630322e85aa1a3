"""Parquet files that hold the images themselves: the layout of Hugging Face's hub.

Format: https://huggingface.co/docs/hub/datasets-image
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from pipeline.contracts import InputError
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_decoding import ImageError
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    parse_datetime,
)
from pipeline.data.reading.image_sources import build_member_source, unpack_container
from pipeline.data.tables.listed_images import parse_list_split
from pipeline.data.tables.table_files import convert_to_scalar, convert_to_text

SUPPORTED_OPTIONS = ("label",)
_LABEL_NAMES = ("label", "labels", "fine_label", "class", "category", "target", "objects")
_IMAGE_MAGIC = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")


def _open_file(tree: FileTree, name: str) -> pyarrow.parquet.ParquetFile:
    container = tree.get_container(name) if name else str(tree.root.absolute())
    return pyarrow.parquet.ParquetFile(unpack_container(container))


def _find_image_column(file: pyarrow.parquet.ParquetFile) -> str | None:
    """Return the first column that holds encoded images: a struct with bytes, or bytes."""
    for field in file.schema_arrow:
        is_struct = pa.types.is_struct(field.type)
        if is_struct and {"bytes", "path"} <= {part.name for part in field.type}:
            return str(field.name)
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            batch = next(file.iter_batches(1, columns=[field.name]), None)
            value = batch.column(0)[0].as_py() if batch is not None and len(batch) else None
            if value and value.startswith(_IMAGE_MAGIC):
                return str(field.name)
    return None


def _find_files(tree: FileTree) -> dict[str, str]:
    """Return the image column of each Parquet file that has one."""
    names = [name for name in tree.file_names if name.lower().endswith(".parquet")]
    if tree.root_kind == "file" and tree.root.suffix.lower() == ".parquet":
        names = [""]
    found = {}
    for name in names:
        try:
            column = _find_image_column(_open_file(tree, name))
        except (pa.ArrowException, OSError, ImageError):
            continue
        if column is not None:
            found[name] = column
    return found


def can_read(tree: FileTree) -> str | None:
    """Return how many Parquet files hold images, or None."""
    files = _find_files(tree)
    shown = ", ".join(name or tree.root.name for name in list(files)[:3])
    return f"images in {len(files)} Parquet files ({shown})" if files else None


def _read_class_names(file: pyarrow.parquet.ParquetFile) -> dict[str, list[str]]:
    """Return the names of the classes of each column, from the metadata of `datasets`."""
    text = (file.schema_arrow.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(text)["info"]["features"] if text else {}
    except (ValueError, KeyError, TypeError):
        return {}
    names = {}
    for column, feature in features.items():
        if isinstance(feature, dict) and isinstance(feature.get("names"), list):
            names[column] = [str(name) for name in feature["names"]]
    return names


def _choose_label(
    tree: FileTree, name: str, columns: list[str], names: dict[str, Any], options: ReadOptions
) -> str | None:
    if options.label_column:
        chosen = options.label_column if options.label_column in columns else None
    else:
        chosen = next((c for c in (*names, *_LABEL_NAMES) if c in columns), None)
    if chosen is None and options.is_label_required:
        raise InputError(
            f"{tree.root / name if name else tree.root}: no column "
            f"{options.label_column or 'label'!r}; name the label in ingest.label: "
            f"{', '.join(columns)}"
        )
    return chosen


def _read_file(
    tree: FileTree, name: str, image_column: str, options: ReadOptions
) -> Iterator[ImageRecord | RejectedFile]:
    file = _open_file(tree, name)
    columns = [c for c in file.schema_arrow.names if c != image_column]
    names = _read_class_names(file)
    label = _choose_label(tree, name, columns, names, options)
    container = tree.get_container(name) if name else str(tree.root.absolute())
    row = 0
    for batch in file.iter_batches(1024, columns=columns):
        for values in batch.to_pylist():
            path = f"{name or tree.root.name}/{row:06d}"
            source = build_member_source("parquet", container, f"{image_column}/{row}")
            row += 1
            for column, class_names in names.items():
                number = values.get(column)
                if isinstance(number, int) and 0 <= number < len(class_names):
                    values[column] = class_names[number]
            value = values.pop(label) if label else None
            several = isinstance(value, list) and len(value) != 1
            text = convert_to_text(value[0] if isinstance(value, list) and value else value)
            if several and options.several_labels != "first" and options.is_label_required:
                yield RejectedFile(path, "several labels" if value else "no label")
                continue
            yield ImageRecord(
                source,
                path,
                None if value == [] else text,
                convert_to_text(values.pop("group", None)),
                parse_datetime(values.pop("captured_at", None)),
                parse_list_split(name),
                {column: convert_to_scalar(cell) for column, cell in values.items()},
            )


def read_images(
    tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield images that Parquet files hold, as on Hugging Face's hub (`data/train-*.parquet`).

    The label is the first column of classes (or `ingest.label`), with its names; the split is in
    the file's name. All other columns are kept.

    Raises:
        InputError: no Parquet file holds images, or the label column is missing.
    """
    files = _find_files(tree)
    if not files:
        raise InputError(f"ingest.data: {tree.root}: no Parquet file in it holds images")
    yield from tree.rejected_files
    for name in tree.file_names:
        if name not in files:
            yield RejectedFile(name, "not a Parquet file of images")
    for name, column in files.items():
        yield from _read_file(tree, name, column, options)
