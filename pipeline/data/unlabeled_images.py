"""Images without labels, read in chunks: they are in no split and never kept as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.contracts import InputError, ProgressTracker
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_intake import load_image
from pipeline.data.reading.image_record import ImageRecord, RejectedFile, is_image
from pipeline.data.reading.image_sources import get_local_path
from pipeline.data.reading.ordered_threads import map_in_order
from pipeline.storage.artifact_store import compute_key

CHUNK_SIZE = 256
"""Images that are decoded at a time: 39 MB at 224 pixels."""


@dataclass(frozen=True)
class UnlabeledChunk:
    """Some images without labels.

    Attributes:
        paths: path of each image, relative to the folder.
        content_hashes: hash of the bytes of each image, as in the artifact `images`.
        pixels: uint8 [images, side, side, 3].
        rejected: files that cannot be read as images.
    """

    paths: list[str]
    content_hashes: list[str]
    pixels: NDArray[np.uint8]
    rejected: list[RejectedFile]


def list_unlabeled_images(folder: Path, setting_key: str) -> list[ImageRecord]:
    """Return the images of a folder or archive, in the order of their names.

    Args:
        folder: the folder, with any subfolders, or a ZIP or TAR archive.
        setting_key: the setting that names it, for error messages.

    Raises:
        InputError: there is no such folder, or it holds no image.
    """
    if not folder.exists():
        raise InputError(f"{setting_key}: {folder}: no such folder")
    tree = FileTree(folder)
    names = sorted(name for name in tree.file_names if is_image(name))
    if not names:
        raise InputError(
            f"{setting_key}: {folder}: no image among {len(tree.file_names):,} files; name a "
            "folder with images"
        )
    return [ImageRecord(tree.get_source(name), name, None) for name in names]


def fingerprint_files(folder: Path, setting_key: str) -> str:
    """Return a hash of names, sizes and times of the images; a changed file changes it.

    Args:
        folder: the folder or archive.
        setting_key: the setting that names it, for error messages.

    Raises:
        InputError: there is no such folder, or it holds no image.
    """
    stamps = []
    for record in list_unlabeled_images(folder, setting_key):
        path = Path(get_local_path(record.source) or folder)
        status = path.stat()
        stamps.append([record.path, status.st_size, status.st_mtime_ns])
    return compute_key(stamps)


def read_unlabeled_images(
    records: list[ImageRecord], side: int, track: ProgressTracker
) -> Iterator[UnlabeledChunk]:
    """Yield the images in chunks, decoded as in `ingest`.

    Args:
        records: the images.
        side: side of the copies, in pixels.
        track: wraps the loop over chunks.
    """
    starts = range(0, len(records), CHUNK_SIZE)
    for start in track(starts, total=len(starts), unit=f"times {CHUNK_SIZE} unlabeled images"):
        chunk = records[start : start + CHUNK_SIZE]
        paths, hashes, pixels, rejected = [], [], [], []
        for result in map_in_order(chunk, lambda record: load_image(record, side, _find_no_copy)):
            if isinstance(result, RejectedFile):
                rejected.append(result)
                continue
            image, copy = result
            paths.append(image.record.path)
            hashes.append(image.content_hash)
            pixels.append(copy)
        stacked = np.stack(pixels) if pixels else np.zeros((0, side, side, 3), np.uint8)
        yield UnlabeledChunk(paths, hashes, stacked, rejected)


def _find_no_copy(_image_id: str) -> None:
    """Return nothing: no copy of an unlabeled image is kept."""
