"""Hugging Face `datasets`: what `save_to_disk` wrote, or `huggingface:NAME` (needs the extra `huggingface`)."""

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
from pipeline.datasets import members
from pipeline.datasets.photo import DEFAULTS, SPLITS, Options, Photo, Rejected, moment
from pipeline.datasets.picture import ImageError
from pipeline.datasets.sources import member, on_disk
from pipeline.datasets.tables import plain, text
from pipeline.datasets.tree import Tree
from pipeline.remote import cache_folder

OPTIONS = ("label",)
_LABELS = ("label", "labels", "fine_label", "class", "category", "target")


def _folders(tree: Tree) -> dict[str, str]:
    """The saved data sets of a tree by split name ("" for one without splits): their folders, with `/` behind them."""
    there = frozenset(tree.names)
    whole = ("state.json", "dataset_info.json")
    if there.issuperset(whole):
        return {"": ""}
    if "dataset_dict.json" not in there:
        return {}
    parts = sorted(name for name in tree.folders if "/" not in name)
    return {name: f"{name}/" for name in parts if there.issuperset(f"{name}/{file}" for file in whole)}


def recognises(tree: Tree) -> str | None:
    """The files that `save_to_disk` leaves, or a name after `huggingface:`."""
    if str(tree.root).startswith("huggingface:"):
        return f"the data set {str(tree.root).partition(':')[2]} of Hugging Face"
    found = _folders(tree)
    splits = f", splits {', '.join(found)}" if any(found) else ""
    return f"a data set saved by Hugging Face's datasets{splits}" if found else None


def _json(tree: Tree, name: str) -> Any:
    try:
        return json.loads(tree.read(name))
    except ValueError as error:
        raise InputError(f"{tree.root / name}: cannot be read: {error}") from error


def _fetched(name: str) -> Tree:
    """The data set of that name, saved once in the cache folder: written aside and renamed, so that it is whole."""
    kept = cache_folder() / "huggingface" / re.sub(r"[^A-Za-z0-9._-]+", "--", name)
    if _folders(Tree(kept)):
        return Tree(kept)
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise InputError(
            "ingest.data: huggingface:NAME needs the package datasets: pip install 'nightshift[huggingface]'"
        ) from error
    aside = kept.with_name(f".{kept.name}.{os.getpid()}")
    try:
        load_dataset(name).save_to_disk(aside)
        shutil.rmtree(kept, ignore_errors=True)
        aside.rename(kept)
    except Exception as error:  # the package and its many readers have errors of their own
        raise InputError(f"ingest.data: huggingface:{name}: {' '.join(str(error).split())[:300]}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Tree(kept)


def _columns(tree: Tree, folder: str, options: Options) -> tuple[str, str | None, dict[str, list[str]]]:
    """The columns of photo and label, and the names of the classes of each column that has such."""
    where, features = tree.root / folder, _json(tree, f"{folder}dataset_info.json").get("features") or {}
    photos = [name for name, kind in features.items() if isinstance(kind, dict) and kind.get("_type") == "Image"]
    if not photos:
        raise InputError(f"{where}: no column of images in it; columns: {', '.join(features) or 'none'}")
    names = {c: k["names"] for c, k in features.items() if isinstance(k, dict) and k.get("_type") == "ClassLabel"}
    label = options.label or next((c for c in (*names, *_LABELS) if c in features), None)
    if label not in features and (options.label or options.labelled):
        raise InputError(f"{where}: no column {label or 'label'!r}; name it in ingest.label: {', '.join(features)}")
    return photos[0], label, names


def _shards(tree: Tree, folder: str) -> list[str]:
    files = _json(tree, f"{folder}state.json").get("_data_files", [])
    return [folder + posixpath.basename(str(file.get("filename"))) for file in files]


def _rows(tree: Tree, split: str, folder: str, options: Options) -> Iterator[Photo | Rejected]:
    photo, label, names = _columns(tree, folder, options)
    part = SPLITS.get(split.lower())
    for shown in _shards(tree, folder):
        path = tree.container(shown)
        try:
            table = members.arrow_table(on_disk(path))
        except (OSError, ImageError, pa.ArrowException) as error:
            yield Rejected(shown, f"cannot be read: {' '.join(str(error).split())[:120]}")
            continue
        others = table.drop_columns([photo])
        row = 0
        for batch in others.to_batches(max_chunksize=1000):
            for values in batch.to_pylist():
                kept = {
                    c: names[c][v] if c in names and isinstance(v, int) and 0 <= v < len(names[c]) else v
                    for c, v in values.items()
                }
                found, time = text(kept.pop(label, None)) if label else None, moment(kept.get("captured_at"))
                source = member("arrow", path, f"{photo}/{row}")
                columns = {c: plain(v) for c, v in kept.items()}
                yield Photo(source, f"{shown}/{row:06d}", found, text(kept.get("group")), time, part, columns)
                row += 1


def _left(tree: Tree, found: dict[str, str]) -> Iterator[Rejected]:
    own = {"dataset_dict.json"} | {name for folder in found.values() for name in _shards(tree, folder)}
    own |= {f"{folder}{file}" for folder in found.values() for file in ("state.json", "dataset_info.json")}
    yield from (Rejected(name, "not part of the saved data set") for name in tree.names if name not in own)


def huggingface(tree: Tree, options: Options = DEFAULTS) -> Iterator[Photo | Rejected]:
    """A data set that Hugging Face's `datasets` saved to disk, read in place; or one by name, `huggingface:NAME`.

    The photo is the first column of images, the label the first of classes (or `ingest.label`); all other columns are
    kept. Raises `InputError` where there is no such column, or the data set cannot be had.
    """
    name = str(tree.root).partition("huggingface:")[2]
    tree = _fetched(name) if name else tree
    found = _folders(tree)
    if not found:
        raise InputError(f"ingest.data: {tree.root}: no data set saved by Hugging Face's datasets in it")
    yield from tree.problems
    for split, folder in found.items():
        yield from _rows(tree, split, folder, options)
    yield from _left(tree, found)
