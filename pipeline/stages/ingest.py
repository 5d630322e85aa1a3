"""ingest: read any data set through its adapter, decode every photo once, set aside what is broken."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline import plugins
from pipeline.config import Settings
from pipeline.contracts import Context, InputError, Made, Table
from pipeline.datasets import (
    SPLITS,
    Header,
    ImageError,
    Photo,
    Rejected,
    Value,
    decode,
    header,
    letterbox,
    moment,
    nearest,
    read,
    relative,
    walk,
)
from pipeline.graph import ARTIFACTS

_TABLE = ARTIFACTS["images"]
_NONE = np.empty((0, 0, 3), np.uint8)
_OWN = ("split", "fold", *(_TABLE.columns if isinstance(_TABLE, Table) else ()))


class Config(Settings):
    """Where the photos are, and which columns of theirs mean what."""

    data: Path | None = Field(None, description="the data set's folder, relative to the current one")
    adapter: str | None = Field(None, description="the data set plugin; by default the first that recognises it")
    side: int = Field(64, ge=16, le=1024, description="photos are letterboxed to side x side pixels")
    label: str | None = Field(None, description="column that holds the label")
    group: str | None = Field(None, description="column whose equal values belong together, as of a track or a person")
    time: str | None = Field(None, description="column with the capture time")
    split: str | None = Field(None, description="column with train / val / test")


@dataclass(frozen=True)
class _Shot:
    """A photo that could be used: what its adapter, its bytes and its header say, and its pixels."""

    photo: Photo
    image_id: str
    content_hash: str
    head: Header
    pixels: NDArray[np.uint8]


Earlier = Callable[[str], NDArray[np.uint8] | None]


def root_of(config: Config) -> Path:
    """The data set's folder; raises `InputError` that names the key where it is not given or not there."""
    if config.data is None:
        raise InputError("ingest.data: no data set is given; name its folder, as in ingest.data=photos")
    if not config.data.exists():
        raise InputError(f"ingest.data: {config.data}: no such folder (looked in {Path.cwd()})")
    if not config.data.is_dir():
        raise InputError(f"ingest.data: {config.data}: is a file; name the folder that the photos are in")
    return config.data


def fingerprint(config: Config, home: Path, before: str | None) -> str:
    """Hash of the data set's listing (relative path, size and mtime of every file), as part of the stage's key.

    Raises `InputError` where there is no such folder. `home` is not looked at: data are not kept there.
    """
    root, seen = root_of(config), hashlib.sha256()
    for entry in walk(root):
        try:
            stat = entry.stat()
        except OSError:  # a link that leads nowhere: it will be set aside
            continue
        seen.update(f"{relative(root, entry)}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return seen.hexdigest()


def _prepare(photo: Photo, side: int, earlier: Earlier) -> _Shot | Rejected:
    """Read, hash and decode one photo; its pixels come from `earlier` where the same photo was decoded before."""
    try:
        data = Path(photo.source).read_bytes()
        content = hashlib.sha256(data).hexdigest()[:32]
        crop = ""  # the whole photo
        image_id = hashlib.sha256("\0".join((content, photo.path, crop)).encode("utf-8", "replace")).hexdigest()[:16]
        head = header(data)
        pixels = earlier(image_id)
        if pixels is None:
            pixels = letterbox(decode(data, side, head), side)
        return _Shot(photo, image_id, content, head, pixels)
    except OSError as error:
        return Rejected(photo.path, f"cannot be read: {error.strerror}")
    except ImageError as error:
        return Rejected(photo.path, str(error))


def _in_order(photos: Sequence[Photo], side: int, earlier: Earlier) -> Iterator[_Shot | Rejected]:
    """Prepare photos in threads, in their order, with a bounded number in flight."""
    workers = min(8, os.cpu_count() or 1)
    queue: deque[Future[_Shot | Rejected]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for photo in photos:
            queue.append(pool.submit(_prepare, photo, side, earlier))
            if len(queue) > 4 * workers:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()


def _earlier(previous: Mapping[str, Any] | None, side: int) -> Earlier:
    """Looks up the pixels that an earlier run decoded at the same side, by image_id."""
    if previous is None or previous["pixels"].shape[1] != side:
        return lambda image_id: None
    rows = {image_id: row for row, image_id in enumerate(previous["images"]["image_id"])}
    return lambda image_id: np.asarray(previous["pixels"][rows[image_id]]) if image_id in rows else None


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
    items = list(read(root, config.adapter, label=config.label))
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


def _users(shots: Sequence[_Shot], context: Context) -> dict[str, pd.Series[Any]]:
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


def _groups(config: Config, shots: Sequence[_Shot], users: Mapping[str, pd.Series[Any]]) -> list[str]:
    """The group of each photo: the named column, else the adapter's; a photo without one is known by its bytes."""
    if config.group in (None, "group"):
        values: list[Value] = [shot.photo.group for shot in shots]
    elif config.group in users:
        values = [None if pd.isna(value) else str(value) for value in users[config.group]]
    elif any(config.group in shot.photo.columns for shot in shots):  # a column that was renamed
        given = [shot.photo.columns.get(config.group) for shot in shots]
        values = [None if value is None else str(value) for value in given]
    else:
        hint = nearest(str(config.group), [*users, "group"])
        raise InputError(f"ingest.group: the data set has no column {config.group!r}; {hint}")
    return [str(value) if value else shot.content_hash for value, shot in zip(values, shots, strict=True)]


def _times(config: Config, shots: Sequence[_Shot], context: Context) -> list[datetime | None]:
    """Capture times: the named column, else the adapter's, else EXIF; what cannot be read is noted."""
    column = config.time or "captured_at"
    raw = [shot.photo.columns.get(column) for shot in shots]
    read_off = [None if text is None else moment(text) for text in raw]
    lost = [str(text) for text, time in zip(raw, read_off, strict=True) if text is not None and time is None]
    if lost:
        context.note(f"{len(lost)} capture times in {column} cannot be read, such as {lost[0]!r}")
    return [time or shot.photo.captured_at or shot.head.taken for time, shot in zip(read_off, shots, strict=True)]


def _images(config: Config, shots: Sequence[_Shot], context: Context) -> pd.DataFrame:
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


def run(config: Config, context: Context) -> Made:
    """Make `images` (rows by path), `rejected`, `pixels` uint8 [N, side, side, 3] RGB and `classes`.

    pixels is a memory map in the stage's scratch folder, so that memory stays bounded. Raises `InputError` where there
    is no data set, no photo that can be used, or one class only.
    """
    root = root_of(config)
    photos, rejected = _listing(config, root)
    shape = (max(1, len(photos)), config.side, config.side, 3)
    pixels = np.lib.format.open_memmap(context.scratch / "decoded.npy", mode="w+", dtype=np.uint8, shape=shape)
    prepared = _in_order(photos, config.side, _earlier(context.previous, config.side))
    shots: list[_Shot] = []
    for item in context.track(prepared, total=len(photos), what="photos"):
        if isinstance(item, Rejected):
            rejected.append(item)
            continue
        pixels[len(shots)] = item.pixels
        shots.append(replace(item, pixels=_NONE))
    classes = sorted({str(shot.photo.label) for shot in shots})
    _note_rejected(rejected, photos, set(classes), context)
    _require_two(root, classes, rejected, len(shots))
    table = pd.DataFrame([(item.path, item.reason) for item in rejected], columns=["path", "reason"], dtype="str")
    return {
        "images": _images(config, shots, context),
        "rejected": table.sort_values(["path", "reason"], ignore_index=True),
        "pixels": pixels[: len(shots)],
        "classes": {"names": classes},
    }
