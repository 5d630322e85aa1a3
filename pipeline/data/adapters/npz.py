"""MedMNIST: one npz with `train_images`, `train_labels`, `val_images`, ...

Format: https://medmnist.com
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator

from pipeline.contracts import InputError
from pipeline.data.reading import array_members
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_decoding import ImageError
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    SPLIT_ALIASES,
    ImageRecord,
    ReadOptions,
    RejectedFile,
)
from pipeline.data.reading.image_sources import build_member_source, unpack_container
from pipeline.data.tables.table_files import convert_to_text


def _find_npz_file(tree: FileTree) -> str | None:
    """Return the name of the only npz in the root; "" if the root is the npz itself."""
    if tree.root_kind == "file":
        return "" if tree.root.suffix.lower() == ".npz" else None
    npz_names = [n for n in tree.file_names if n.lower().endswith(".npz") and "/" not in n]
    return npz_names[0] if len(npz_names) == 1 else None


def _list_array_prefixes(tree: FileTree, name: str) -> list[str]:
    """Return the prefixes of `images` in the file: `train_`, `val_`, `test_`, or ""."""
    try:
        with zipfile.ZipFile(unpack_container(tree.get_container(name))) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, zlib.error, ImageError, ValueError):
        return []
    prefixes = set()
    for member in names:
        array_name = member.removesuffix(".npy")
        if array_name.endswith("images"):
            prefixes.add(array_name.removesuffix("images"))
    return sorted(prefixes)


def can_read(tree: FileTree) -> str | None:
    """Return that an npz with an array of images was found, or None."""
    name = _find_npz_file(tree)
    parts = [] if name is None else _list_array_prefixes(tree, name)
    return f"an npz file, {', '.join(part + 'images' for part in parts)}" if parts else None


def read_images(
    tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield images of MedMNIST's npz: arrays `<split>_images` and `<split>_labels`, one label each.

    Nothing is unpickled. Rejected with a reason: images with several labels or none.

    Raises:
        InputError: an array is missing or cannot be read.
    """
    name = _find_npz_file(tree)
    if name is None:
        raise InputError(f"ingest.data: {tree.root}: no npz file in it")
    yield from tree.rejected_files
    for other in tree.file_names:
        if other != name:
            yield RejectedFile(other, "not the npz file")
    path = tree.get_container(name)
    npz_path = tree.root / name
    for part in _list_array_prefixes(tree, name):
        try:
            count = len(array_members.load_npz_array(unpack_container(path), f"{part}images"))
            labels = array_members.load_npz_array(unpack_container(path), f"{part}labels")
        except KeyError as error:
            raise InputError(f"{npz_path}: {part}images has no {part}labels beside it") from error
        except (ImageError, OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{npz_path}: {part}images cannot be read: {error}") from error
        if len(labels) != count:
            raise InputError(
                f"{npz_path}: {count} images, but {len(labels)} labels in {part}labels"
            )
        rows = labels.reshape(count, -1)
        for row in range(count):
            image_path = f"{part}images/{row:06d}"
            if rows.shape[1] != 1:
                yield RejectedFile(image_path, f"has {rows.shape[1]} labels; one is needed")
                continue
            source = build_member_source("npz", path, f"{part}images/{row}")
            yield ImageRecord(
                source,
                image_path,
                convert_to_text(rows[row, 0].item()),
                split=SPLIT_ALIASES.get(part.rstrip("_")),
            )
