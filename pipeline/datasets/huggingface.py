"""Hugging Face `datasets`: what `save_to_disk` wrote, or `huggingface:NAME` (needs the extra `huggingface`)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.contracts import InputError
from pipeline.datasets import members
from pipeline.datasets.members import cache_folder
from pipeline.datasets.photo import DEFAULTS, SPLITS, Options, Photo, Rejected, moment
from pipeline.datasets.sources import member
from pipeline.datasets.tables import plain, text

OPTIONS = ("label",)
_LABELS = ("label", "labels", "fine_label", "class", "category", "target")


def _folders(root: Path) -> dict[str, Path]:
    """The saved data sets below `root` by split name (empty for one without splits)."""
    if (root / "state.json").is_file() and (root / "dataset_info.json").is_file():
        return {"": root}
    if not (root / "dataset_dict.json").is_file():
        return {}
    found = [path.parent for path in sorted(root.glob("*/state.json"))]
    return {folder.name: folder for folder in found if (folder / "dataset_info.json").is_file()}


def recognises(root: Path) -> str | None:
    """The files that `save_to_disk` leaves, or a name after `huggingface:`."""
    if str(root).startswith("huggingface:"):
        return f"the data set {str(root).partition(':')[2]} of Hugging Face"
    found = _folders(root)
    splits = f", splits {', '.join(found)}" if any(found) else ""
    return f"a data set saved by Hugging Face's datasets{splits}" if found else None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _fetched(name: str) -> Path:
    """The data set of that name, saved once in the cache folder."""
    kept = cache_folder() / "huggingface" / re.sub(r"[^A-Za-z0-9._-]+", "--", name)
    if _folders(kept):
        return kept
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise InputError(
            "ingest.data: huggingface:NAME needs the package datasets: pip install 'nightshift[huggingface]'"
        ) from error
    try:
        load_dataset(name).save_to_disk(kept)
    except Exception as error:  # the package and its many readers have errors of their own
        raise InputError(f"ingest.data: huggingface:{name}: {' '.join(str(error).split())[:300]}") from error
    return kept


def _columns(folder: Path, options: Options) -> tuple[str, str | None, dict[str, list[str]]]:
    """The columns of photo and label, and the names of the classes of each column that has such."""
    features = _json(folder / "dataset_info.json").get("features") or {}
    photos = [name for name, kind in features.items() if isinstance(kind, dict) and kind.get("_type") == "Image"]
    if not photos:
        raise InputError(f"{folder}: no column of images in it; columns: {', '.join(features) or 'none'}")
    names = {c: k["names"] for c, k in features.items() if isinstance(k, dict) and k.get("_type") == "ClassLabel"}
    label = options.label or next((c for c in (*names, *_LABELS) if c in features), None)
    if label not in features and (options.label or options.labelled):
        raise InputError(f"{folder}: no column {label or 'label'!r}; name it in ingest.label: {', '.join(features)}")
    return photos[0], label, names


def _rows(folder: Path, split: str, options: Options) -> Iterator[Photo | Rejected]:
    photo, label, names = _columns(folder, options)
    part = SPLITS.get(split.lower())
    for file in _json(folder / "state.json").get("_data_files", []):
        path = os.path.abspath(folder / os.path.basename(str(file.get("filename"))))
        shown = "/".join(filter(None, (split, os.path.basename(path))))
        try:
            table = members.arrow_table(path)
        except (OSError, pa.ArrowException) as error:
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


def huggingface(root: Path, options: Options = DEFAULTS) -> Iterator[Photo | Rejected]:
    """A data set that Hugging Face's `datasets` saved to disk, read in place; or one by name, `huggingface:NAME`.

    The photo is the first column of images, the label the first of classes (or `ingest.label`); all other columns are
    kept. Raises `InputError` where there is no such column, or the data set cannot be had.
    """
    name = str(root).partition("huggingface:")[2]
    found = _folders(_fetched(name) if name else root)
    if not found:
        raise InputError(f"ingest.data: {root}: no data set saved by Hugging Face's datasets in it")
    for split, folder in found.items():
        yield from _rows(folder, split, options)
