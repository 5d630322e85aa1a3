"""Bands of one color along the border: bars, frames, a finger or a wall before the lens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import DecodedImage

UNIT = "% of the image"
LOW_HIGH_WORDS = ("filled up to the border", "banded along the border")
PERIOD: float | None = None
SOURCE = "pixels"
_MAX_RANGE = 12  # gray levels within a band: noise and JPEG artifacts


def _count_band_lines(lows: NDArray[np.int16], highs: NDArray[np.int16]) -> int:
    """Return how many lines from the first one on have its gray level throughout."""
    is_band = np.maximum(highs, highs[0]) - np.minimum(lows, lows[0]) <= _MAX_RANGE
    return len(is_band) if is_band.all() else int(is_band.argmin())


def _measure_band_share(luma: NDArray[np.uint8], axis: int) -> float:
    """Return the share of lines in the bands at both ends; lines run along `axis`."""
    lows, highs = luma.min(axis).astype(np.int16), luma.max(axis).astype(np.int16)
    count = _count_band_lines(lows, highs) + _count_band_lines(lows[::-1], highs[::-1])
    return min(1.0, count / len(lows))


def measure(image: DecodedImage) -> float:
    """Return the percentage of the image in uniform bands along its four borders, 0 to 100.

    A band consists of whole rows or columns within 12 gray levels. A plain backdrop around the
    subject counts as well.

    Source: the cropdetect filter of FFmpeg, for bands of any gray level.

    >>> import numpy as np
    >>> noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    >>> barred = noise.copy()
    >>> barred[:5] = barred[35:] = 0
    >>> measure(DecodedImage(noise, None, 40, 40)), measure(DecodedImage(barred, None, 40, 40))
    (0.0, 25.0)
    """
    rows, columns = (_measure_band_share(image.luma, axis) for axis in (1, 0))
    return 100 * (1 - (1 - rows) * (1 - columns))
