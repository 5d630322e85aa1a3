"""Size of the stored image."""

from __future__ import annotations

import math

from pipeline.attributes import DecodedImage

UNIT = "px"
LOW_HIGH_WORDS = ("small", "large")
PERIOD: float | None = None
SOURCE = "metadata"


def measure(image: DecodedImage) -> float:
    """Return the square root of width times height of the stored file, in pixels.

    >>> import numpy as np
    >>> measure(DecodedImage(np.zeros((1, 1, 3), np.uint8), None, 640, 360))
    480.0
    """
    return math.sqrt(image.width * image.height)
