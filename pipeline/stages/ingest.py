"""ingest: read any data set through its adapter, decode every image once, set aside what is broken."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from pipeline import plugins
from pipeline.config import StageSettings
from pipeline.contracts import InputError, StageContext, StageOutputs, TableContract
from pipeline.data.dataset_reader import read_dataset
from pipeline.data.reading.file_tree import FileTree, walk_files
from pipeline.data.reading.image_intake import (
    CopyLookup,
    LoadedImage,
    PixelStore,
    load_image,
    map_in_order,
)
from pipeline.data.reading.image_record import (
    SPLIT_ALIASES,
    ImageRecord,
    MetadataValue,
    ReadOptions,
    RejectedFile,
    parse_datetime,
    suggest_name,
)
from pipeline.data.reading.image_sources import get_local_path
from pipeline.graph import ARTIFACT_CONTRACTS

_IMAGES_CONTRACT = ARTIFACT_CONTRACTS["images"]
_RESERVED_COLUMNS = (
    "split",
    "fold",
    *(_IMAGES_CONTRACT.columns if isinstance(_IMAGES_CONTRACT, TableContract) else ()),
)


class Config(StageSettings):
    """Where the images are, and which columns of theirs mean what."""

    data: Path | None = Field(
        None, description="the data set: a folder, a zip or tar, a table, or torchvision:NAME"
    )
    adapter: str | None = Field(
        None, description="the data set plugin; by default the first that recognizes it"
    )
    side: int = Field(
        64, ge=16, le=1024, description="images are letterboxed to side x side pixels"
    )
    file: str | None = Field(
        None, description="column of a manifest that holds the image's path or address"
    )
    label: str | None = Field(None, description="column that holds the label")
    group: str | None = Field(
        None, description="column whose equal values belong together, as of a track or a person"
    )
    group_pattern: str | None = Field(
        None, description="a regular expression; what its bracket finds in the path"
    )
    time: str | None = Field(None, description="column with the capture time")
    split: str | None = Field(None, description="column with train / val / test")
    crop_boxes: bool = Field(
        False, description="each annotated box (COCO, VOC) is a image of its own"
    )
    follow_links: bool = Field(
        False, description="links that lead out of the data set's folder are followed too"
    )

    @field_validator("group_pattern")
    @classmethod
    def _check_group_pattern(cls, pattern: str | None) -> str | None:
        try:
            if pattern is not None and re.compile(pattern).groups != 1:
                raise ValueError("ingest.group_pattern: needs exactly one pair of brackets")
        except re.error as error:
            raise ValueError(f"ingest.group_pattern is no regular expression: {error}") from error
        return pattern

    @property
    def options(self) -> ReadOptions:
        """What an adapter is told."""
        return ReadOptions(self.file, self.label, self.crop_boxes, self.follow_links)


def resolve_data_root(config: Config) -> Path:
    """Where the data set is; raises `InputError` that names the key where it is not given or not there."""
    if config.data is None:
        raise InputError(
            "ingest.data: no data set is given; name its folder, as in ingest.data=images"
        )
    if not config.data.exists() and ":" not in str(config.data):
        raise InputError(
            f"ingest.data: {config.data}: no such folder or file (looked in {Path.cwd()})"
        )
    return config.data


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """Hash of the data set's listing (path, size and time of change of every file), as part of the stage's key.

    Of a table of its own, that of the files which it lists. Raises `InputError` where there is no such data set.
    `run` is not looked at: data are not kept there.
    """
    root, seen = resolve_data_root(config), hashlib.sha256()
    if FileTree(root).root_kind == "folder":
        top = os.path.abspath(root)
        files = (
            (found.path, found.path[len(top) :]) for found in walk_files(root, config.follow_links)
        )
    else:
        listed = read_dataset(root, config.adapter, config.options)
        found = {
            get_local_path(item.source) or "" for item in listed if isinstance(item, ImageRecord)
        }
        files = ((path, path) for path in sorted(found | {str(root)}))
    for path, name in files:
        try:
            stat = os.stat(path)
        except (OSError, ValueError):  # a link that leads nowhere: it will be set aside
            continue
        seen.update(
            f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape")
        )
    return seen.hexdigest()


def _build_copy_lookup(previous: Mapping[str, Any] | None, shelf: PixelStore) -> CopyLookup:
    """Looks up, by image_id, the copies that an earlier run or a killed one made at the same side."""
    places = shelf.find_earlier_copies()
    if previous is not None and previous["pixels"].shape[1] == shelf.side:
        pixels = previous["pixels"]
        places |= {
            image_id: (pixels, row) for row, image_id in enumerate(previous["images"]["image_id"])
        }

    def look_up(image_id: str) -> Any:
        array, row = places.get(image_id, (None, 0))
        return None if array is None else np.asarray(array[row])

    return look_up


def _require_columns(config: Config, records: Sequence[ImageRecord]) -> None:
    """Raise `InputError`, before anything is decoded, where a column that the config names is in no image."""
    if not records:
        return
    columns = dict.fromkeys(name for image in records for name in image.columns)
    for key, own in (
        ("group", ("group", "camera")),
        ("time", ("captured_at",)),
        ("split", ("split",)),
    ):
        column = getattr(config, key)
        if (
            column is not None and column not in columns and column not in own
        ):  # EXIF may yield a camera
            hint = suggest_name(column, [*columns, *own])
            raise InputError(f"ingest.{key}: the data set has no column {column!r}; {hint}")


def _list_records(config: Config, root: Path) -> tuple[list[ImageRecord], list[RejectedFile]]:
    """What the adapter lists, by path; without a label, with an unknown split or listed twice is set aside."""
    images: dict[str, ImageRecord] = {}
    items = list(read_dataset(root, config.adapter, config.options))
    rejected = [item for item in items if isinstance(item, RejectedFile)]
    listed = [item for item in items if isinstance(item, ImageRecord)]
    _require_columns(config, listed)
    for item in listed:
        named = config.split not in (None, "split")
        given = str(item.columns.get(str(config.split)) or "").lower() if named else item.split
        if not item.label:
            rejected.append(RejectedFile(item.path, "no label"))
        elif given and given not in SPLIT_ALIASES:
            rejected.append(RejectedFile(item.path, "its split is none of train, val and test"))
        elif item.path in images:
            rejected.append(RejectedFile(item.path, "listed more than once"))
        else:
            images[item.path] = replace(item, split=SPLIT_ALIASES[given] if given else None)
    return [images[path] for path in sorted(images)], rejected


def _build_column(values: list[MetadataValue]) -> pd.Series[Any]:
    """One user column with one dtype: bool, int or float where all values are such, else text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool} and None not in values:
        return pd.Series(values, dtype="bool")
    if kinds and kinds <= {int, float}:
        return pd.Series(
            values, dtype="int64" if kinds == {int} and None not in values else "float64"
        )
    return pd.Series([None if value is None else str(value) for value in values], dtype="str")


def _collect_user_columns(
    loaded_images: Sequence[LoadedImage], context: StageContext
) -> dict[str, pd.Series[Any]]:
    """The user's columns; a name that the pipeline needs for itself gets a `_` behind it."""
    names = list(dict.fromkeys(name for shot in loaded_images for name in shot.record.columns))
    columns = {
        name: _build_column([shot.record.columns.get(name) for shot in loaded_images])
        for name in names
    }
    if "camera" not in columns and any(shot.header.camera_model for shot in loaded_images):
        columns["camera"] = _build_column([shot.header.camera_model for shot in loaded_images])
    taken = {*_RESERVED_COLUMNS, *plugins.list_plugins("attributes")}
    renamed = {}
    for name, values in columns.items():
        new = name
        while new in taken:
            new += "_"
        taken.add(new)
        renamed[new] = values
    changed = [f"{old} -> {new}" for old, new in zip(columns, renamed, strict=True) if old != new]
    if changed:
        context.add_note(f"columns renamed, their names are taken: {', '.join(changed)}")
    return renamed


def _assign_groups(
    config: Config, loaded_images: Sequence[LoadedImage], user_columns: Mapping[str, pd.Series[Any]]
) -> list[str]:
    """The group of each image: the named column, the pattern's find in its path, else the adapter's.

    A image without one is known by its bytes.
    """
    if config.group_pattern is not None:
        found = [re.search(config.group_pattern, shot.record.path) for shot in loaded_images]
        values: list[MetadataValue] = [None if hit is None else hit[1] for hit in found]
    elif config.group in (None, "group"):
        values = [shot.record.group for shot in loaded_images]
    elif config.group in user_columns:
        values = [None if pd.isna(value) else str(value) for value in user_columns[config.group]]
    elif any(
        config.group in shot.record.columns for shot in loaded_images
    ):  # a column that was renamed
        given = [shot.record.columns.get(config.group) for shot in loaded_images]
        values = [None if value is None else str(value) for value in given]
    else:
        hint = suggest_name(str(config.group), [*user_columns, "group"])
        raise InputError(f"ingest.group: the data set has no column {config.group!r}; {hint}")
    return [
        str(value) if value else shot.content_hash
        for value, shot in zip(values, loaded_images, strict=True)
    ]


def _read_capture_times(
    config: Config, loaded_images: Sequence[LoadedImage], context: StageContext
) -> list[datetime | None]:
    """Capture times: the named column, else the adapter's, else EXIF; what cannot be read is noted."""
    column = config.time or "captured_at"
    raw = [shot.record.columns.get(column) for shot in loaded_images]
    read_off = [None if text is None else parse_datetime(text) for text in raw]
    lost = [
        str(text)
        for text, time in zip(raw, read_off, strict=True)
        if text is not None and time is None
    ]
    if lost:
        context.add_note(
            f"{len(lost)} capture times in {column} cannot be read, such as {lost[0]!r}"
        )
    return [
        time or shot.record.captured_at or shot.header.captured_at
        for time, shot in zip(read_off, loaded_images, strict=True)
    ]


def _build_images_table(
    config: Config, loaded_images: Sequence[LoadedImage], context: StageContext
) -> pd.DataFrame:
    users = _collect_user_columns(loaded_images, context)
    columns: dict[str, Any] = {
        "image_id": [shot.image_id for shot in loaded_images],
        "content_hash": [shot.content_hash for shot in loaded_images],
        "path": [shot.record.path for shot in loaded_images],
        "source": [shot.record.source for shot in loaded_images],
        "label": [shot.record.label for shot in loaded_images],
        "group": _assign_groups(config, loaded_images, users),
        "captured_at": pd.Series(
            _read_capture_times(config, loaded_images, context), dtype="datetime64[us]"
        ),
        "width": pd.Series([shot.header.width for shot in loaded_images], dtype="int64"),
        "height": pd.Series([shot.header.height for shot in loaded_images], dtype="int64"),
        "given_split": pd.Series([shot.record.split for shot in loaded_images], dtype="str"),
    }
    return pd.DataFrame({**columns, **users})


def _note_rejected_files(
    rejected: Sequence[RejectedFile],
    records: Sequence[ImageRecord],
    used_classes: set[str],
    context: StageContext,
) -> None:
    """Say once what was set aside and why, and which classes are left without a image."""
    files = Counter(item.reason for item in rejected if not item.path.endswith("/"))
    if files:
        reasons = "; ".join(f"{count} {reason}" for reason, count in files.most_common(5))
        context.add_note(
            f"{files.total()} files were set aside: {reasons}" + ("; ..." if len(files) > 5 else "")
        )
    for item in rejected:
        if item.path.endswith("/"):
            context.add_note(item.reason)
    for label in sorted({str(image.label) for image in records} - used_classes):
        context.add_note(f"class {label} has no image that can be used; it is left out")


def _require_two_classes(
    root: Path, classes: Sequence[str], rejected: Sequence[RejectedFile], image_count: int
) -> None:
    if not classes:
        reason = Counter(item.reason for item in rejected).most_common(1)
        why = f"; most often: {reason[0][0]} ({reason[0][1]} of {len(rejected)})" if reason else ""
        raise InputError(f"ingest.data: {root}: no image in it can be used{why}")
    if len(classes) == 1:
        raise InputError(
            f"ingest.data: {root}: all {image_count} images are of one class, {classes[0]!r}; a classifier needs at least two"
        )


def _copy_images(
    config: Config,
    context: StageContext,
    records: Sequence[ImageRecord],
    rejected: list[RejectedFile],
) -> tuple[list[LoadedImage], Any]:
    """Every image that can be used, and their copies; the others are added to `rejected`."""
    shots: list[LoadedImage] = []
    with PixelStore(context.scratch_folder, config.side) as shelf:
        earlier = _build_copy_lookup(context.previous_outputs, shelf)
        prepared = map_in_order(records, lambda image: load_image(image, config.side, earlier))
        for item in context.track_progress(prepared, total=len(records), unit="images"):
            if isinstance(item, RejectedFile):
                rejected.append(item)
            else:
                shots.append(item[0])
                shelf.add_copy(item[0].image_id, item[1])
    return shots, shelf.map_pixels()


def run(config: Config, context: StageContext) -> StageOutputs:
    """Make `images` (rows by path), `rejected`, `pixels` uint8 [N, side, side, 3] RGB and `classes`.

    pixels is a memory map in the stage's scratch folder, so that memory stays bounded; what a killed run had copied
    is used again. Raises `InputError` where there is no data set, no image that can be used, or one class only.
    """
    root = resolve_data_root(config)
    images, rejected = _list_records(config, root)
    shots, pixels = _copy_images(config, context, images, rejected)
    classes = sorted({str(shot.record.label) for shot in shots})
    _note_rejected_files(rejected, images, set(classes), context)
    _require_two_classes(root, classes, rejected, len(shots))
    table = pd.DataFrame(
        [(item.path, item.reason) for item in rejected], columns=["path", "reason"], dtype="str"
    )
    return {
        "images": _build_images_table(config, shots, context),
        "rejected": table.sort_values(["path", "reason"], ignore_index=True),
        "pixels": pixels,
        "classes": {"names": classes},
    }
