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
from pipeline.data.reading.table_files import convert_to_scalar, convert_to_text

SUPPORTED_OPTIONS = ("label",)
_LABEL_COLUMN_NAMES = ("label", "labels", "fine_label", "class", "category", "target")


def _find_split_folders(tree: FileTree) -> dict[str, str]:
    """Return the folders of saved data sets, ending in `/`, by split name ("" for none)."""
    there = frozenset(tree.file_names)
    whole = ("state.json", "dataset_info.json")
    if there.issuperset(whole):
        return {"": ""}
    if "dataset_dict.json" not in there:
        return {}
    parts = sorted(name for name in tree.folders if "/" not in name)
    return {
        name: f"{name}/" for name in parts if there.issuperset(f"{name}/{file}" for file in whole)
    }


def can_read(tree: FileTree) -> str | None:
    """Return what `save_to_disk` or the prefix `huggingface:` shows, or None."""
    if str(tree.root).startswith("huggingface:"):
        return f"the data set {str(tree.root).partition(':')[2]} of Hugging Face"
    found = _find_split_folders(tree)
    splits = f", splits {', '.join(found)}" if any(found) else ""
    return f"a data set saved by Hugging Face's datasets{splits}" if found else None


def _read_json(tree: FileTree, file_name: str) -> Any:
    try:
        return json.loads(tree.read_file(file_name))
    except ValueError as error:
        raise InputError(f"{tree.root / file_name}: cannot be read: {error}") from error


def _fetch_dataset(dataset_name: str) -> FileTree:
    """Return the data set of a name, saved once in the cache folder and renamed into place."""
    kept = get_cache_folder() / "huggingface" / re.sub(r"[^A-Za-z0-9._-]+", "--", dataset_name)
    if _find_split_folders(FileTree(kept)):
        return FileTree(kept)
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise InputError(
            "ingest.data: huggingface:NAME needs the package datasets: pip install "
            "'nightshift[huggingface]'"
        ) from error
    aside = kept.with_name(f".{kept.name}.{os.getpid()}")
    try:
        load_dataset(dataset_name).save_to_disk(aside)
        shutil.rmtree(kept, ignore_errors=True)
        aside.rename(kept)
    except Exception as error:  # the package and its many readers have errors of their own
        raise InputError(
            f"ingest.data: huggingface:{dataset_name}: {' '.join(str(error).split())[:300]}"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return FileTree(kept)


def _find_columns(
    tree: FileTree, folder: str, options: ReadOptions
) -> tuple[str, str | None, dict[str, list[str]]]:
    """Return the image column, the label column, and the class names of each class column."""
    where, features = (
        tree.root / folder,
        _read_json(tree, f"{folder}dataset_info.json").get("features") or {},
    )
    images = [
        name
        for name, kind in features.items()
        if isinstance(kind, dict) and kind.get("_type") == "Image"
    ]
    if not images:
        raise InputError(
            f"{where}: no column of images in it; columns: {', '.join(features) or 'none'}"
        )
    names = {
        c: k["names"]
        for c, k in features.items()
        if isinstance(k, dict) and k.get("_type") == "ClassLabel"
    }
    label = options.label_column or next(
        (c for c in (*names, *_LABEL_COLUMN_NAMES) if c in features), None
    )
    if label not in features and (options.label_column or options.is_label_required):
        raise InputError(
            f"{where}: no column {label or 'label'!r}; name it in ingest.label: "
            f"{', '.join(features)}"
        )
    return images[0], label, names


def _list_shards(tree: FileTree, folder: str) -> list[str]:
    files = _read_json(tree, f"{folder}state.json").get("_data_files", [])
    return [folder + posixpath.basename(str(file.get("filename"))) for file in files]


def _read_rows(
    tree: FileTree, split: str, folder: str, options: ReadOptions
) -> Iterator[ImageRecord | RejectedFile]:
    image, label, names = _find_columns(tree, folder, options)
    part = SPLIT_ALIASES.get(split.lower())
    for shown in _list_shards(tree, folder):
        path = tree.get_container(shown)
        try:
            table = load_arrow_table(unpack_container(path))
        except (OSError, ImageError, pa.ArrowException) as error:
            yield RejectedFile(shown, f"cannot be read: {' '.join(str(error).split())[:120]}")
            continue
        others = table.drop_columns([image])
        row = 0
        for batch in others.to_batches(max_chunksize=1000):
            for values in batch.to_pylist():
                kept = {
                    c: names[c][v]
                    if c in names and isinstance(v, int) and 0 <= v < len(names[c])
                    else v
                    for c, v in values.items()
                }
                found, time = (
                    convert_to_text(kept.pop(label, None)) if label else None,
                    parse_datetime(kept.get("captured_at")),
                )
                source = build_member_source("arrow", path, f"{image}/{row}")
                columns = {c: convert_to_scalar(v) for c, v in kept.items()}
                yield ImageRecord(
                    source,
                    f"{shown}/{row:06d}",
                    found,
                    convert_to_text(kept.get("group")),
                    time,
                    part,
                    columns,
                )
                row += 1


def _reject_other_files(tree: FileTree, split_folders: dict[str, str]) -> Iterator[RejectedFile]:
    own = {"dataset_dict.json"} | {
        name for folder in split_folders.values() for name in _list_shards(tree, folder)
    }
    own |= {
        f"{folder}{file}"
        for folder in split_folders.values()
        for file in ("state.json", "dataset_info.json")
    }
    yield from (
        RejectedFile(name, "not part of the saved data set")
        for name in tree.file_names
        if name not in own
    )


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
    found = _find_split_folders(tree)
    if not found:
        raise InputError(
            f"ingest.data: {tree.root}: no data set saved by Hugging Face's datasets in it"
        )
    yield from tree.rejected_files
    for split, folder in found.items():
        yield from _read_rows(tree, split, folder, options)
    yield from _reject_other_files(tree, found)
