"""WebDataset: tar shards whose files with one name before the first dot are one sample.

Format: https://github.com/webdataset/webdataset
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator
from typing import Any

from pipeline.contracts import InputError
from pipeline.data.reading import container_members
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_decoding import ImageError
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    IMAGE_SUFFIXES,
    SPLIT_ALIASES,
    ImageRecord,
    MetadataValue,
    ReadOptions,
    RejectedFile,
    escape_invalid_bytes,
    parse_datetime,
)
from pipeline.data.reading.image_sources import build_member_source, fetch_bytes, unpack_container
from pipeline.data.tables.table_files import convert_to_scalar, convert_to_text

_LABEL_ENDINGS = ("cls", "label", "class", "txt")
_LABEL_KEYS = ("label", "class", "class_name", "cls", "category")
_CLASS_FILE_NAMES = ("classes.txt", "classnames.txt", "labels.txt")


def _list_shards(tree: FileTree) -> dict[str, str]:
    """Return the shards by name: the tars of a folder or archive, else the tar itself."""
    inside = {}
    for name in tree.file_names:
        if name.lower().endswith((".tar", ".tar.gz", ".tgz")):
            inside[name] = tree.get_container(name)
    if tree.root_kind == "tar" and not inside:
        return {tree.root.name: os.path.abspath(tree.root)}
    return inside


def _group_samples(path: str) -> dict[str, dict[str, str]]:
    """Return the samples of a shard: {key: {suffix: member}}."""
    samples: dict[str, dict[str, str]] = {}
    for name in container_members.list_tar_names(unpack_container(path)):
        folder, base = posixpath.split(name)
        stem, dot, ending = base.partition(".")
        if dot and stem:
            samples.setdefault(posixpath.join(folder, stem), {})[ending.lower()] = name
    return samples


def can_read(tree: FileTree) -> str | None:
    """Return how many shards there are, or None.

    The first tar must hold images beside a label or a JSON file of the same name.
    """
    shards = _list_shards(tree)
    try:
        first = _group_samples(next(iter(shards.values()))) if shards else {}
    except Exception:  # a tar that cannot be read: its adapter says why
        first = {}
    paired = [
        s for s in first.values() if _find_image_name(s) and ({"json", *_LABEL_ENDINGS} & set(s))
    ]
    return f"WebDataset, {len(shards)} shards" if paired and len(paired) * 2 >= len(first) else None


def _find_image_name(sample: dict[str, str]) -> str | None:
    for ending, name in sample.items():
        if f".{ending.rpartition('.')[2]}" in IMAGE_SUFFIXES:
            return name
    return None


def _read_text(path: str, name: str) -> str:
    return fetch_bytes(build_member_source("tar", path, name)).decode("utf-8", "replace").strip()


def _read_metadata(
    path: str, sample: dict[str, str]
) -> tuple[str | None, dict[str, MetadataValue]]:
    """Return the label and the other columns of a sample."""
    metadata: dict[str, Any] = {}
    if "json" in sample:
        value = json.loads(_read_text(path, sample["json"]))
        metadata = value if isinstance(value, dict) else {}
    ending = next((e for e in _LABEL_ENDINGS if e in sample), None)
    label = (
        convert_to_text(_read_text(path, sample[ending]))
        if ending
        else convert_to_text(next((metadata[k] for k in _LABEL_KEYS if k in metadata), None))
    )
    columns = {}
    for key, item in metadata.items():
        if key not in _LABEL_KEYS and key != "captured_at":
            columns[key] = convert_to_scalar(item)
    return label, columns | _extract_time(metadata)


def _extract_time(metadata: dict[str, Any]) -> dict[str, MetadataValue]:
    return (
        {"captured_at": str(metadata["captured_at"])}
        if parse_datetime(metadata.get("captured_at"))
        else {}
    )


def _read_class_names(tree: FileTree) -> list[str]:
    name = next((n for n in _CLASS_FILE_NAMES if n in tree.file_names), None)
    return tree.read_file(name).decode("utf-8", "replace").split("\n") if name else []


def _read_shard(
    shard_name: str, path: str, class_names: list[str], options: ReadOptions
) -> Iterator[ImageRecord | RejectedFile]:
    words = shard_name.lower().replace("-", "/").replace("_", "/").replace(".", "/").split("/")
    split = next((SPLIT_ALIASES[word] for word in words if word in SPLIT_ALIASES), None)
    for key, sample in _group_samples(path).items():
        name = _find_image_name(sample)
        sample_path = escape_invalid_bytes(f"{shard_name}/{key}")
        if name is None:
            yield RejectedFile(sample_path, "a sample without an image")
            continue
        try:
            label, columns = _read_metadata(path, sample)
        except (ImageError, ValueError, RecursionError) as error:
            yield RejectedFile(
                sample_path, f"its label cannot be read: {' '.join(str(error).split())[:80]}"
            )
            continue
        if label and label.isdigit() and int(label) < len(class_names):
            label = class_names[int(label)].strip() or label
        time = parse_datetime(columns.pop("captured_at", None))
        yield ImageRecord(
            build_member_source("tar", path, name),
            escape_invalid_bytes(f"{shard_name}/{name}"),
            label,
            None,
            time,
            split,
            columns,
        )


def read_images(
    tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield images of WebDataset shards with the label of `.cls`, `.txt` or `.json`.

    The split is that in the shard's name (`train-0001.tar`). `classes.txt` beside the shards names
    numbered classes. Other keys of the JSON are kept. Rejected with a reason: samples without an
    image, shards that cannot be read.
    """
    shards = _list_shards(tree)
    if not shards:
        raise InputError(f"ingest.data: {tree.root}: no tar in it")
    if [*shards.values()] != [os.path.abspath(tree.root)]:
        yield from tree.rejected_files
        for name in tree.file_names:
            if name not in shards and name not in _CLASS_FILE_NAMES:
                yield RejectedFile(name, "not a shard")
    classes = _read_class_names(tree)
    for shard, path in shards.items():
        try:
            _group_samples(path)
        except Exception as error:  # on malformed archives tarfile and zlib raise almost anything
            yield RejectedFile(
                shard, f"the shard cannot be read: {' '.join(str(error).split())[:80]}"
            )
            continue
        yield from _read_shard(shard, path, classes, options)
