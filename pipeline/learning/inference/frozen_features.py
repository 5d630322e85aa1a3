"""Features of all images from frozen packaged weights, written to disk chunk by chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.contracts import ProgressTracker
from pipeline.learning.distributed import get_fabric
from pipeline.learning.inference.model_outputs import (
    FEATURE_COUNT,
    LAYOUT_FEATURE_COUNT,
    extract_features_and_layout,
)

IMAGES_PER_CHUNK = 2048
"""Images held in memory at once: 25 MB of pixels at a side of 64."""

LAYOUT_SIDE = 64
"""Side to which images are reduced to compare looks: tracks of signs are found at 64 pixels."""
_ARRAYS: dict[str, tuple[Any, int]] = {
    "embeddings": (np.float32, FEATURE_COUNT),
    "layout": (np.float16, LAYOUT_FEATURE_COUNT),
}


def compute_frozen_features(
    pixels: NDArray[np.uint8],
    rows: NDArray[np.intp],
    scratch_folder: Path,
    track_progress: ProgressTracker,
) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """Return the embeddings and the layout features of some images; other rows are NaN.

    Of several processes the first one writes, and all of them map its files.

    Args:
        pixels: uint8 [images, side, side, 3].
        rows: rows of the images whose features are computed.
        scratch_folder: folder of the two files.
        track_progress: wraps the loop over chunks.

    Returns:
        embeddings: float32 [images, features], memory-mapped.
        layout: float16 [images, layout features], memory-mapped.
    """
    is_wanted = np.zeros(len(pixels), bool)
    is_wanted[rows] = True
    fabric = get_fabric()
    folder = Path(fabric.broadcast(str(scratch_folder.absolute())))
    files = {name: folder / f"{name}.npy" for name in _ARRAYS}
    is_writer = fabric.is_global_zero
    if is_writer:
        for name, (dtype, width) in _ARRAYS.items():
            np.lib.format.open_memmap(files[name], "w+", dtype, (len(pixels), width))
    starts = range(0, len(pixels), IMAGES_PER_CHUNK)
    unit = f"times {IMAGES_PER_CHUNK} images"
    for start in track_progress(starts, total=len(starts), unit=unit):
        chunk = slice(start, start + IMAGES_PER_CHUNK)
        is_inside = is_wanted[chunk]
        features = extract_features_and_layout(np.asarray(pixels[chunk][is_inside]))
        if is_writer:
            _write_rows(files["embeddings"], chunk, is_inside, features[0])
            _write_rows(files["layout"], chunk, is_inside, features[1])
    fabric.barrier()  # until everything is written
    embeddings = np.load(files["embeddings"], mmap_mode="r")
    layout = np.load(files["layout"], mmap_mode="r")
    fabric.barrier()  # until all have opened the files, which the first one will move
    return embeddings, layout


def compute_layout_features(
    pixels: NDArray[np.uint8], rows: NDArray[np.intp], track_progress: ProgressTracker
) -> NDArray[np.float16]:
    """Return the layout features of some images at a reduced size, float16 [rows, features].

    Args:
        pixels: uint8 [images, side, side, 3].
        rows: rows of the images.
        track_progress: wraps the loop over chunks.
    """
    starts = range(0, len(rows), IMAGES_PER_CHUNK)
    features = [np.empty((0, LAYOUT_FEATURE_COUNT), np.float16)]
    unit = f"times {IMAGES_PER_CHUNK} images"
    for start in track_progress(starts, total=len(starts), unit=unit):
        chunk = pixels[rows[start : start + IMAGES_PER_CHUNK]]
        features.append(extract_features_and_layout(_reduce_pixels(chunk))[1])
    return np.concatenate(features)


def _reduce_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images of at most `LAYOUT_SIDE` pixels."""
    if pixels.shape[1] <= LAYOUT_SIDE:
        return np.asarray(pixels)
    size = (LAYOUT_SIDE, LAYOUT_SIDE)
    return np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in pixels])


def _write_rows(
    path: Path, chunk: slice, is_inside: NDArray[np.bool_], values: NDArray[Any]
) -> None:
    """Write one chunk of an array on disk, NaN in the rows that have no values.

    The file is mapped for this chunk alone, so that at most a chunk of it is in memory.
    """
    array = np.lib.format.open_memmap(path, "r+")
    rows = np.full((len(is_inside), array.shape[1]), np.nan, array.dtype)
    rows[is_inside] = values
    array[chunk] = rows
