"""MedMNIST's files: one npz with `train_images`, `train_labels`, `val_images`, ... (https://medmnist.com)."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator

from pipeline.contracts import InputError
from pipeline.datasets import members
from pipeline.datasets.photo import DEFAULTS, SPLITS, Options, Photo, Rejected
from pipeline.datasets.picture import ImageError
from pipeline.datasets.sources import member, on_disk
from pipeline.datasets.tables import text
from pipeline.datasets.tree import Tree


def _file(tree: Tree) -> str | None:
    """The name of the one npz: of the root itself (empty), or the only one in the root's folder or archive."""
    if tree.kind == "file":
        return "" if tree.root.suffix.lower() == ".npz" else None
    found = [n for n in tree.names if n.lower().endswith(".npz") and "/" not in n]
    return found[0] if len(found) == 1 else None


def _arrays(tree: Tree, name: str) -> list[str]:
    """The names before `images` in the file: `train_`, `val_`, `test_`, or an empty one."""
    try:
        with zipfile.ZipFile(on_disk(tree.container(name))) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile, zlib.error, ImageError, ValueError):
        return []
    return sorted(name.removesuffix("images") for name in names if name.endswith("images"))


def recognises(tree: Tree) -> str | None:
    """An npz file with an array of images."""
    name = _file(tree)
    parts = [] if name is None else _arrays(tree, name)
    return f"an npz file, {', '.join(part + 'images' for part in parts)}" if parts else None


def npz(tree: Tree, options: Options = DEFAULTS) -> Iterator[Photo | Rejected]:
    """MedMNIST's npz: arrays `<split>_images` and `<split>_labels`, one label each.

    Nothing is unpickled. Set aside with a reason: photos with several labels or none. Raises `InputError` where an
    array is missing or cannot be read.
    """
    name = _file(tree)
    if name is None:
        raise InputError(f"ingest.data: {tree.root}: no npz file in it")
    yield from tree.problems
    yield from (Rejected(n, "not the npz file") for n in tree.names if n != name)
    path, where = tree.container(name), tree.root / name
    for part in _arrays(tree, name):
        try:
            count = len(members.npz_array(on_disk(path), f"{part}images"))
            labels = members.npz_array(on_disk(path), f"{part}labels")
        except KeyError as error:
            raise InputError(f"{where}: {part}images has no {part}labels beside it") from error
        except (ImageError, OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{where}: {part}images cannot be read: {error}") from error
        if len(labels) != count:
            raise InputError(f"{where}: {count} photos, but {len(labels)} labels in {part}labels")
        rows = labels.reshape(count, -1)
        for row in range(count):
            place = f"{part}images/{row:06d}"
            if rows.shape[1] != 1:
                yield Rejected(place, f"has {rows.shape[1]} labels; one is needed")
                continue
            source = member("npz", path, f"{part}images/{row}")
            yield Photo(source, place, text(rows[row, 0].item()), split=SPLITS.get(part.rstrip("_")))
