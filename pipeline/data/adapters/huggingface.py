"""Hugging Face `datasets`: a folder of `save_to_disk`, or `huggingface:NAME`.

It needs the extra `huggingface`.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pipeline.contracts import InputError
from pipeline.data.reading.array_members import load_arrow_table
from pipeline.data.reading.file_cache import get_cache_folder
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_decoding import ImageError
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    SPLIT_ALIASES,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    parse_datetime,
)
from pipeline.data.reading.image_sources import build_member_source, unpack_container
from pipeline.data.tables.table_files import convert_to_scalar, convert_to_text

SUPPORTED_OPTIONS = ("label",)
_LABEL_COLUMN_NAMES = ("label", "labels", "fine_label", "class", "category", "target")


def _find_split_folders(tree: FileTree) -> dict[str, str]:
    """Return the folders of saved data sets, ending in `/`, by split name ("" for none)."""
    file_names = frozenset(tree.file_names)
    required_files = ("state.json", "dataset_info.json")
    if file_names.issuperset(required_files):
        return {"": ""}
    if "dataset_dict.json" not in file_names:
        return {}
    folders = {}
    for name in sorted(tree.folders):
        required_paths = [f"{name}/{file}" for file in required_files]
        if "/" not in name and file_names.issuperset(required_paths):
            folders[name] = f"{name}/"
    return folders


def can_read(tree: FileTree) -> str | None:
    """Return what `save_to_disk` or the prefix `huggingface:` shows, or None."""
    if str(tree.root).startswith("huggingface:"):
        return f"the data set {str(tree.root).partition(':')[2]} of Hugging Face"
    split_folders = _find_split_folders(tree)
    splits = f", splits {', '.join(split_folders)}" if any(split_folders) else ""
    return f"a data set saved by Hugging Face's datasets{splits}" if split_folders else None


def _read_json(tree: FileTree, file_name: str) -> Any:
    try:
        return json.loads(tree.read_file(file_name))
    except ValueError as error:
        raise InputError(f"{tree.root / file_name}: cannot be read: {error}") from error


def _fetch_dataset(dataset_name: str) -> FileTree:
    """Return the data set of a name, saved once in the cache folder and renamed into place."""
    cached_folder = (
        get_cache_folder() / "huggingface" / re.sub(r"[^A-Za-z0-9._-]+", "--", dataset_name)
    )
    if _find_split_folders(FileTree(cached_folder)):
        return FileTree(cached_folder)
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise InputError(
            "ingest.data: huggingface:NAME needs the package datasets: pip install "
            "'nightshift[huggingface]'"
        ) from error
    partial_folder = cached_folder.with_name(f".{cached_folder.name}.{os.getpid()}")
    try:
        load_dataset(dataset_name).save_to_disk(partial_folder)
        shutil.rmtree(cached_folder, ignore_errors=True)
        partial_folder.rename(cached_folder)
    except Exception as error:  # the package and its many readers have errors of their own
        raise InputError(
            f"ingest.data: huggingface:{dataset_name}: {' '.join(str(error).split())[:300]}"
        ) from error
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)
    return FileTree(cached_folder)


def _find_columns(
    tree: FileTree, folder: str, options: ReadOptions
) -> tuple[str, str | None, dict[str, list[str]]]:
    """Return the image column, the label column, and the class names of each class column."""
    folder_path = tree.root / folder
    features = _read_json(tree, f"{folder}dataset_info.json").get("features") or {}
    images: list[str] = []
    names: dict[str, list[str]] = {}
    for name, feature in features.items():
        kind = feature.get("_type") if isinstance(feature, dict) else None
        if kind == "Image":
            images.append(name)
        elif kind == "ClassLabel":
            names[name] = feature["names"]
    if not images:
        raise InputError(
            f"{folder_path}: no column of images in it; columns: {', '.join(features) or 'none'}"
        )
    label = options.label_column or next(
        (c for c in (*names, *_LABEL_COLUMN_NAMES) if c in features), None
    )
    if label not in features and (options.label_column or options.is_label_required):
        raise InputError(
            f"{folder_path}: no column {label or 'label'!r}; name it in ingest.label: "
            f"{', '.join(features)}"
        )
    return images[0], label, names


def _list_shards(tree: FileTree, folder: str) -> list[str]:
    files = _read_json(tree, f"{folder}state.json").get("_data_files", [])
    return [folder + posixpath.basename(str(file.get("filename"))) for file in files]


def _decode_class_columns(
    values: dict[str, Any], class_names: dict[str, list[str]]
) -> dict[str, Any]:
    """Return a row with the names of its classes in place of their numbers."""
    decoded = dict(values)
    for column, names in class_names.items():
        number = values.get(column)
        if isinstance(number, int) and 0 <= number < len(names):
            decoded[column] = names[number]
    return decoded


def _read_rows(
    tree: FileTree, split: str, folder: str, options: ReadOptions
) -> Iterator[ImageRecord | RejectedFile]:
    image, label, names = _find_columns(tree, folder, options)
    split_name = SPLIT_ALIASES.get(split.lower())
    for shard_name in _list_shards(tree, folder):
        path = tree.get_container(shard_name)
        try:
            table = load_arrow_table(unpack_container(path))
        except (OSError, ImageError, pa.ArrowException) as error:
            yield RejectedFile(shard_name, f"cannot be read: {' '.join(str(error).split())[:120]}")
            continue
        others = table.drop_columns([image])
        row = 0
        for batch in others.to_batches(max_chunksize=1000):
            for values in batch.to_pylist():
                row_values = _decode_class_columns(values, names)
                label_text = convert_to_text(row_values.pop(label, None)) if label else None
                time = parse_datetime(row_values.get("captured_at"))
                source = build_member_source("arrow", path, f"{image}/{row}")
                columns = {c: convert_to_scalar(v) for c, v in row_values.items()}
                yield ImageRecord(
                    source,
                    f"{shard_name}/{row:06d}",
                    label_text,
                    convert_to_text(row_values.get("group")),
                    time,
                    split_name,
                    columns,
                )
                row += 1


def _reject_other_files(tree: FileTree, split_folders: dict[str, str]) -> Iterator[RejectedFile]:
    own = {"dataset_dict.json"}
    for folder in split_folders.values():
        own |= {f"{folder}state.json", f"{folder}dataset_info.json"}
        own.update(_list_shards(tree, folder))
    for name in tree.file_names:
        if name not in own:
            yield RejectedFile(name, "not part of the saved data set")


def read_images(
    tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield images of a data set saved by Hugging Face's `datasets`, or named `huggingface:NAME`.

    The image is the first column of images, the label the first of classes (or `ingest.label`). All
    other columns are kept.

    Raises:
        InputError: a column is missing, or the data set cannot be fetched.
    """
    name = str(tree.root).partition("huggingface:")[2]
    tree = _fetch_dataset(name) if name else tree
    split_folders = _find_split_folders(tree)
    if not split_folders:
        raise InputError(
            f"ingest.data: {tree.root}: no data set saved by Hugging Face's datasets in it"
        )
    yield from tree.rejected_files
    for split, folder in split_folders.items():
        yield from _read_rows(tree, split, folder, options)
    yield from _reject_other_files(tree, split_folders)
