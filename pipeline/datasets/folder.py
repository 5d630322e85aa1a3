"""One folder a class, with or without train / val / test folders above them (the layout of ImageFolder)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.datasets import SPLITS, Photo, Rejected, is_image, relative, walk


def _folders(root: Path) -> list[str]:
    try:
        return sorted(e.name for e in os.scandir(root) if e.is_dir() and not e.name.startswith((".", "__")))
    except OSError:
        return []


def split_folders(root: Path) -> dict[str, str]:
    """The folders directly below `root` that are splits: {folder name: train | val | test}; empty without splits.

    They are splits where a train folder stands beside another split, or alone, and holds folders itself.
    """
    names = _folders(root)
    splits = {name: SPLITS[name.lower()] for name in names if name.lower() in SPLITS}
    train = [name for name, split in splits.items() if split == "train" and _folders(root / name)]
    return splits if train and (len(splits) > 1 or len(names) == 1) else {}


def _class_folders(root: Path, splits: dict[str, str]) -> list[str]:
    """Relative paths of the class folders, with the split's folder in front where there is one."""
    if not splits:
        return _folders(root)
    return [f"{split}/{name}" for split in splits for name in _folders(root / split)]


def recognises(root: Path) -> str | None:
    """Class folders with at least one image in them: how many, and in which splits."""
    splits = split_folders(root)
    classes = sorted({path.split("/")[-1] for path in _class_folders(root, splits)})
    if not classes or not any(is_image(entry.name) for entry in walk(root)):
        return None
    shown = ", ".join(classes[:3]) + (", ..." if len(classes) > 3 else "")
    where = f" in {', '.join(splits)}" if splits else ""
    return f"{len(classes)} class folder{'s' if len(classes) > 1 else ''} ({shown}){where}"


def folder(root: Path) -> Iterator[Photo | Rejected]:
    """One folder a class: the label is the folder's name, the split that of the folder above it.

    Photos in folders below a class folder belong to the class. Set aside with a reason: files that are no images,
    images outside the class folders, class folders without a photo.
    """
    splits = split_folders(root)
    depth = 2 if splits else 1
    without = set(_class_folders(root, splits))
    for entry in walk(root):
        path = relative(root, entry)
        parts = path.split("/")
        if not is_image(path):
            yield Rejected(path, "not an image file")
        elif len(parts) <= depth or (splits and parts[0] not in splits):
            yield Rejected(path, "not in a class folder")
        else:
            without.discard("/".join(parts[:depth]))
            yield Photo(os.path.abspath(entry), path, label=parts[depth - 1], split=splits.get(parts[0]))
    yield from (Rejected(path + "/", f"class folder {path} holds no photos") for path in sorted(without))
