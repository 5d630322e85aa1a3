"""Attributes of stored image files, measured at full size or on a reduced copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.attributes import DecodedImage, load_measures
from pipeline.data.reading.image_decoding import ImageError
from pipeline.data.reading.image_sources import open_image
from pipeline.data.reading.ordered_threads import map_in_order

PIXEL_SOURCES = ("pixels", "native")
"""Sources of attributes that depend on the bytes alone, so that equal bytes share the values."""

MeasureFunctions = Mapping[str, Callable[[DecodedImage], float]]
_NO_PIXELS: NDArray[np.uint8] = np.zeros((0, 0, 3), dtype=np.uint8)


@dataclass(frozen=True)
class FileMeasurement:
    """Attributes of one file.

    Attributes:
        values: float64 [attributes], NaN where unknown.
        error: why the file cannot be read, or empty.
    """

    values: NDArray[np.float64]
    error: str = ""


@dataclass(frozen=True)
class _StoredImage:
    """One row of `images`: location, capture time, and size in pixels."""

    source: str
    captured_at: datetime | None
    width: int
    height: int

    def attach_pixels(self, pixels: NDArray[np.uint8]) -> DecodedImage:
        return DecodedImage(pixels, self.captured_at, self.width, self.height)


def measure_files(
    images: pd.DataFrame, max_side: int, workers: int | None
) -> Iterator[FileMeasurement]:
    """Yield the attributes that depend on the pixels, file by file in the order of `images`.

    Args:
        images: `source`, `captured_at`, `width` and `height` of each image.
        max_side: longer side in pixels of the copy on which a larger image is measured.
        workers: number of threads, None for one per core but 8 at most.
    """
    functions = load_measures(PIXEL_SOURCES)

    def measure(image: _StoredImage) -> FileMeasurement:
        return _measure_file(image, max_side, functions)

    return map_in_order(_iterate_images(images), measure, workers)


def measure_metadata(images: pd.DataFrame) -> pd.DataFrame:
    """Return the attributes that no pixel is needed for, one float64 column each."""
    functions = load_measures(("metadata",))
    values = np.full((len(images), len(functions)), np.nan)
    for row, image in enumerate(_iterate_images(images)):
        values[row] = _apply_measures(image.attach_pixels(_NO_PIXELS), functions)
    return pd.DataFrame(values, columns=list(functions))


def shrink_image(pixels: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """Return uint8 [H, W, 3] whose longer side is at most `max_side` pixels.

    A smaller image is returned unchanged.
    """
    height, width = pixels.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _iterate_images(images: pd.DataFrame) -> Iterator[_StoredImage]:
    columns = images[["source", "captured_at", "width", "height"]]
    for source, time, width, height in columns.itertuples(index=False, name=None):
        captured_at = None if pd.isna(time) else pd.Timestamp(time).to_pydatetime(warn=False)
        yield _StoredImage(str(source), captured_at, int(width), int(height))


def _measure_file(
    image: _StoredImage, max_side: int, functions: MeasureFunctions
) -> FileMeasurement:
    try:
        pixels = shrink_image(open_image(image.source, max_side), max_side)
    except ImageError as error:
        return FileMeasurement(np.full(len(functions), np.nan), str(error))
    return FileMeasurement(_apply_measures(image.attach_pixels(pixels), functions))


def _apply_measures(image: DecodedImage, functions: MeasureFunctions) -> NDArray[np.float64]:
    return np.array([function(image) for function in functions.values()], dtype=np.float64)
