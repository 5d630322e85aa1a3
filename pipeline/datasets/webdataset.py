"""WebDataset: tar shards in which files with one name before the first dot are one sample
(https://github.com/webdataset/webdataset)."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator
from typing import Any

from pipeline.contracts import InputError
from pipeline.datasets import members
from pipeline.datasets.photo import DEFAULTS, SPLITS, SUFFIXES, Options, Photo, Rejected, Value, moment, readable
from pipeline.datasets.picture import ImageError
from pipeline.datasets.sources import fetch, member, on_disk
from pipeline.datasets.tables import plain, text
from pipeline.datasets.tree import Tree

_LABELS = ("cls", "label", "class", "txt")
_KEYS = ("label", "class", "class_name", "cls", "category")
_NAMES = ("classes.txt", "classnames.txt", "labels.txt")


def _shards(tree: Tree) -> dict[str, str]:
    """The shards by name: the tars of a folder or archive, else the tar itself; the value is the container."""
    inside = {n: tree.container(n) for n in tree.names if n.lower().endswith((".tar", ".tar.gz", ".tgz"))}
    return {tree.root.name: os.path.abspath(tree.root)} if tree.kind == "tar" and not inside else inside


def _samples(path: str) -> dict[str, dict[str, str]]:
    """The samples of a shard: {key: {ending: member}}."""
    samples: dict[str, dict[str, str]] = {}
    for name in members.tar_names(on_disk(path)):
        folder, base = posixpath.split(name)
        stem, dot, ending = base.partition(".")
        if dot and stem:
            samples.setdefault(posixpath.join(folder, stem), {})[ending.lower()] = name
    return samples


def recognises(tree: Tree) -> str | None:
    """A tar, or a folder with tars, in whose first one photos stand beside a label or a JSON file of the same name."""
    shards = _shards(tree)
    try:
        first = _samples(next(iter(shards.values()))) if shards else {}
    except Exception:  # a tar that cannot be read: its adapter says why
        first = {}
    paired = [s for s in first.values() if _photo_in(s) and ({"json", *_LABELS} & set(s))]
    return f"WebDataset, {len(shards)} shards" if paired and len(paired) * 2 >= len(first) else None


def _photo_in(sample: dict[str, str]) -> str | None:
    return next((name for ending, name in sample.items() if f".{ending.rpartition('.')[2]}" in SUFFIXES), None)


def _read(path: str, name: str) -> str:
    return fetch(member("tar", path, name)).decode("utf-8", "replace").strip()


def _details(path: str, sample: dict[str, str]) -> tuple[str | None, dict[str, Value]]:
    """The label and the other columns of a sample."""
    told: dict[str, Any] = {}
    if "json" in sample:
        value = json.loads(_read(path, sample["json"]))
        told = value if isinstance(value, dict) else {}
    ending = next((e for e in _LABELS if e in sample), None)
    label = text(_read(path, sample[ending])) if ending else text(next((told[k] for k in _KEYS if k in told), None))
    return label, {k: plain(v) for k, v in told.items() if k not in _KEYS and k != "captured_at"} | _time(told)


def _time(told: dict[str, Any]) -> dict[str, Value]:
    return {"captured_at": str(told["captured_at"])} if moment(told.get("captured_at")) else {}


def _class_names(tree: Tree) -> list[str]:
    name = next((n for n in _NAMES if n in tree.names), None)
    return tree.read(name).decode("utf-8", "replace").split("\n") if name else []


def _shard(shard: str, path: str, classes: list[str], options: Options) -> Iterator[Photo | Rejected]:
    words = shard.lower().replace("-", "/").replace("_", "/").replace(".", "/").split("/")
    split = next((SPLITS[word] for word in words if word in SPLITS), None)
    for key, sample in _samples(path).items():
        name, shown = _photo_in(sample), readable(f"{shard}/{key}")
        if name is None:
            yield Rejected(shown, "a sample without a photo")
            continue
        try:
            label, columns = _details(path, sample)
        except (ImageError, ValueError, RecursionError) as error:
            yield Rejected(shown, f"its label cannot be read: {' '.join(str(error).split())[:80]}")
            continue
        if label and label.isdigit() and int(label) < len(classes):
            label = classes[int(label)].strip() or label
        time = moment(columns.pop("captured_at", None))
        yield Photo(member("tar", path, name), readable(f"{shard}/{name}"), label, None, time, split, columns)


def webdataset(tree: Tree, options: Options = DEFAULTS) -> Iterator[Photo | Rejected]:
    """WebDataset shards: the label is in `.cls` or `.txt`, or the `label` of the `.json`, beside each photo.

    The split is that in the shard's name (`train-0001.tar`); `classes.txt` beside the shards names numbered classes;
    other keys of the JSON are kept. Set aside with a reason: samples without a photo, shards that cannot be read.
    """
    shards = _shards(tree)
    if not shards:
        raise InputError(f"ingest.data: {tree.root}: no tar in it")
    if [*shards.values()] != [os.path.abspath(tree.root)]:
        yield from tree.problems
        yield from (Rejected(n, "not a shard") for n in tree.names if n not in shards and n not in _NAMES)
    classes = _class_names(tree)
    for shard, path in shards.items():
        try:
            _samples(path)
        except Exception as error:  # on malformed archives tarfile and zlib raise almost anything
            yield Rejected(shard, f"the shard cannot be read: {' '.join(str(error).split())[:80]}")
            continue
        yield from _shard(shard, path, classes, options)
