"""ingest: read any data set through its adapter, decode every photo once, set aside what is broken."""

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
from pipeline.config import Settings
from pipeline.contracts import Context, InputError, Made, Table
from pipeline.datasets import SPLITS, Options, Photo, Rejected, Value, moment, nearest, read, walk
from pipeline.datasets.intake import Earlier, Shelf, Shot, in_order, prepare
from pipeline.datasets.sources import path_of
from pipeline.datasets.tree import Tree
from pipeline.graph import ARTIFACTS

_TABLE = ARTIFACTS["images"]
_OWN = ("split", "fold", *(_TABLE.columns if isinstance(_TABLE, Table) else ()))


class Config(Settings):
    """Where the photos are, and which columns of theirs mean what."""

    data: Path | None = Field(None, description="the data set: a folder, a zip or tar, a table, or torchvision:NAME")
    adapter: str | None = Field(None, description="the data set plugin; by default the first that recognises it")
    side: int = Field(64, ge=16, le=1024, description="photos are letterboxed to side x side pixels")
    file: str | None = Field(None, description="column of a manifest that holds the photo's path or address")
    label: str | None = Field(None, description="column that holds the label")
    group: str | None = Field(None, description="column whose equal values belong together, as of a track or a person")
    group_pattern: str | None = Field(None, description="a regular expression; what its bracket finds in the path")
    time: str | None = Field(None, description="column with the capture time")
    split: str | None = Field(None, description="column with train / val / test")
    boxes: bool = Field(False, description="each annotated box (COCO, VOC) is a photo of its own")
    links: bool = Field(False, description="links that lead out of the data set's folder are followed too")

    @field_validator("group_pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            if pattern is not None and re.compile(pattern).groups != 1:
                raise ValueError("ingest.group_pattern: needs exactly one pair of brackets")
        except re.error as error:
            raise ValueError(f"ingest.group_pattern is no regular expression: {error}") from error
        return pattern

    @property
    def options(self) -> Options:
        """What an adapter is told."""
        return Options(self.file, self.label, self.boxes, self.links)


def root_of(config: Config) -> Path:
    """Where the data set is; raises `InputError` that names the key where it is not given or not there."""
    if config.data is None:
        raise InputError("ingest.data: no data set is given; name its folder, as in ingest.data=photos")
    if not config.data.exists() and ":" not in str(config.data):
        raise InputError(f"ingest.data: {config.data}: no such folder or file (looked in {Path.cwd()})")
    return config.data


def fingerprint(config: Config, run: Path, before: str | None) -> str:
    """Hash of the data set's listing (path, size and time of change of every file), as part of the stage's key.

    Of a table of its own, that of the files which it lists. Raises `InputError` where there is no such data set.
    `run` is not looked at: data are not kept there.
    """
    root, seen = root_of(config), hashlib.sha256()
    if Tree(root).kind == "folder":
        top = os.path.abspath(root)
        files = ((found.path, found.path[len(top) :]) for found in walk(root, config.links))
    else:
        listed = read(root, config.adapter, config.options)
        found = {path_of(item.source) or "" for item in listed if isinstance(item, Photo)}
        files = ((path, path) for path in sorted(found | {str(root)}))
    for path, name in files:
        try:
            stat = os.stat(path)
        except (OSError, ValueError):  # a link that leads nowhere: it will be set aside
            continue
        seen.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return seen.hexdigest()


def _earlier(previous: Mapping[str, Any] | None, shelf: Shelf) -> Earlier:
    """Looks up, by image_id, the copies that an earlier run or a killed one made at the same side."""
    places = shelf.earlier()
    if previous is not None and previous["pixels"].shape[1] == shelf.side:
        pixels = previous["pixels"]
        places |= {image_id: (pixels, row) for row, image_id in enumerate(previous["images"]["image_id"])}

    def look_up(image_id: str) -> Any:
        array, row = places.get(image_id, (None, 0))
        return None if array is None else np.asarray(array[row])

    return look_up


def _require_columns(config: Config, photos: Sequence[Photo]) -> None:
    """Raise `InputError`, before anything is decoded, where a column that the config names is in no photo."""
    if not photos:
        return
    columns = dict.fromkeys(name for photo in photos for name in photo.columns)
    for key, own in (("group", ("group", "camera")), ("time", ("captured_at",)), ("split", ("split",))):
        column = getattr(config, key)
        if column is not None and column not in columns and column not in own:  # EXIF may yield a camera
            hint = nearest(column, [*columns, *own])
            raise InputError(f"ingest.{key}: the data set has no column {column!r}; {hint}")


def _listing(config: Config, root: Path) -> tuple[list[Photo], list[Rejected]]:
    """What the adapter lists, by path; without a label, with an unknown split or listed twice is set aside."""
    photos: dict[str, Photo] = {}
    items = list(read(root, config.adapter, config.options))
    rejected = [item for item in items if isinstance(item, Rejected)]
    listed = [item for item in items if isinstance(item, Photo)]
    _require_columns(config, listed)
    for item in listed:
        named = config.split not in (None, "split")
        given = str(item.columns.get(str(config.split)) or "").lower() if named else item.split
        if not item.label:
            rejected.append(Rejected(item.path, "no label"))
        elif given and given not in SPLITS:
            rejected.append(Rejected(item.path, "its split is none of train, val and test"))
        elif item.path in photos:
            rejected.append(Rejected(item.path, "listed more than once"))
        else:
            photos[item.path] = replace(item, split=SPLITS[given] if given else None)
    return [photos[path] for path in sorted(photos)], rejected


def _column(values: list[Value]) -> pd.Series[Any]:
    """One user column with one dtype: bool, int or float where all values are such, else text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool} and None not in values:
        return pd.Series(values, dtype="bool")
    if kinds and kinds <= {int, float}:
        return pd.Series(values, dtype="int64" if kinds == {int} and None not in values else "float64")
    return pd.Series([None if value is None else str(value) for value in values], dtype="str")


def _users(shots: Sequence[Shot], context: Context) -> dict[str, pd.Series[Any]]:
    """The user's columns; a name that the pipeline needs for itself gets a `_` behind it."""
    names = list(dict.fromkeys(name for shot in shots for name in shot.photo.columns))
    columns = {name: _column([shot.photo.columns.get(name) for shot in shots]) for name in names}
    if "camera" not in columns and any(shot.head.camera for shot in shots):
        columns["camera"] = _column([shot.head.camera for shot in shots])
    taken = {*_OWN, *plugins.names("attributes")}
    renamed = {}
    for name, values in columns.items():
        new = name
        while new in taken:
            new += "_"
        taken.add(new)
        renamed[new] = values
    changed = [f"{old} -> {new}" for old, new in zip(columns, renamed, strict=True) if old != new]
    if changed:
        context.note(f"columns renamed, their names are taken: {', '.join(changed)}")
    return renamed


def _groups(config: Config, shots: Sequence[Shot], users: Mapping[str, pd.Series[Any]]) -> list[str]:
    """The group of each photo: the named column, the pattern's find in its path, else the adapter's.

    A photo without one is known by its bytes.
    """
    if config.group_pattern is not None:
        found = [re.search(config.group_pattern, shot.photo.path) for shot in shots]
        values: list[Value] = [None if hit is None else hit[1] for hit in found]
    elif config.group in (None, "group"):
        values = [shot.photo.group for shot in shots]
    elif config.group in users:
        values = [None if pd.isna(value) else str(value) for value in users[config.group]]
    elif any(config.group in shot.photo.columns for shot in shots):  # a column that was renamed
        given = [shot.photo.columns.get(config.group) for shot in shots]
        values = [None if value is None else str(value) for value in given]
    else:
        hint = nearest(str(config.group), [*users, "group"])
        raise InputError(f"ingest.group: the data set has no column {config.group!r}; {hint}")
    return [str(value) if value else shot.content_hash for value, shot in zip(values, shots, strict=True)]


def _times(config: Config, shots: Sequence[Shot], context: Context) -> list[datetime | None]:
    """Capture times: the named column, else the adapter's, else EXIF; what cannot be read is noted."""
    column = config.time or "captured_at"
    raw = [shot.photo.columns.get(column) for shot in shots]
    read_off = [None if text is None else moment(text) for text in raw]
    lost = [str(text) for text, time in zip(raw, read_off, strict=True) if text is not None and time is None]
    if lost:
        context.note(f"{len(lost)} capture times in {column} cannot be read, such as {lost[0]!r}")
    return [time or shot.photo.captured_at or shot.head.taken for time, shot in zip(read_off, shots, strict=True)]


def _images(config: Config, shots: Sequence[Shot], context: Context) -> pd.DataFrame:
    users = _users(shots, context)
    columns: dict[str, Any] = {
        "image_id": [shot.image_id for shot in shots],
        "content_hash": [shot.content_hash for shot in shots],
        "path": [shot.photo.path for shot in shots],
        "source": [shot.photo.source for shot in shots],
        "label": [shot.photo.label for shot in shots],
        "group": _groups(config, shots, users),
        "captured_at": pd.Series(_times(config, shots, context), dtype="datetime64[us]"),
        "width": pd.Series([shot.head.width for shot in shots], dtype="int64"),
        "height": pd.Series([shot.head.height for shot in shots], dtype="int64"),
        "given_split": pd.Series([shot.photo.split for shot in shots], dtype="str"),
    }
    return pd.DataFrame({**columns, **users})


def _note_rejected(rejected: Sequence[Rejected], photos: Sequence[Photo], used: set[str], context: Context) -> None:
    """Say once what was set aside and why, and which classes are left without a photo."""
    files = Counter(item.reason for item in rejected if not item.path.endswith("/"))
    if files:
        reasons = "; ".join(f"{count} {reason}" for reason, count in files.most_common(5))
        context.note(f"{files.total()} files were set aside: {reasons}" + ("; ..." if len(files) > 5 else ""))
    for item in rejected:
        if item.path.endswith("/"):
            context.note(item.reason)
    for label in sorted({str(photo.label) for photo in photos} - used):
        context.note(f"class {label} has no photo that can be used; it is left out")


def _require_two(root: Path, classes: Sequence[str], rejected: Sequence[Rejected], used: int) -> None:
    if not classes:
        reason = Counter(item.reason for item in rejected).most_common(1)
        why = f"; most often: {reason[0][0]} ({reason[0][1]} of {len(rejected)})" if reason else ""
        raise InputError(f"ingest.data: {root}: no photo in it can be used{why}")
    if len(classes) == 1:
        raise InputError(
            f"ingest.data: {root}: all {used} photos are of one class, {classes[0]!r}; a classifier needs at least two"
        )


def _copied(
    config: Config, context: Context, photos: Sequence[Photo], rejected: list[Rejected]
) -> tuple[list[Shot], Any]:
    """Every photo that can be used, and their copies; the others are added to `rejected`."""
    shots: list[Shot] = []
    with Shelf(context.scratch, config.side) as shelf:
        earlier = _earlier(context.previous, shelf)
        prepared = in_order(photos, lambda photo: prepare(photo, config.side, earlier))
        for item in context.track(prepared, total=len(photos), what="photos"):
            if isinstance(item, Rejected):
                rejected.append(item)
            else:
                shots.append(item[0])
                shelf.add(item[0].image_id, item[1])
    return shots, shelf.mapped()


def run(config: Config, context: Context) -> Made:
    """Make `images` (rows by path), `rejected`, `pixels` uint8 [N, side, side, 3] RGB and `classes`.

    pixels is a memory map in the stage's scratch folder, so that memory stays bounded; what a killed run had copied
    is used again. Raises `InputError` where there is no data set, no photo that can be used, or one class only.
    """
    root = root_of(config)
    photos, rejected = _listing(config, root)
    shots, pixels = _copied(config, context, photos, rejected)
    classes = sorted({str(shot.photo.label) for shot in shots})
    _note_rejected(rejected, photos, set(classes), context)
    _require_two(root, classes, rejected, len(shots))
    table = pd.DataFrame([(item.path, item.reason) for item in rejected], columns=["path", "reason"], dtype="str")
    return {
        "images": _images(config, shots, context),
        "rejected": table.sort_values(["path", "reason"], ignore_index=True),
        "pixels": pixels,
        "classes": {"names": classes},
    }
