"""Color cast between lamp light and skylight."""

from __future__ import annotations

import cv2

from pipeline.attributes import DecodedImage

UNIT = "red less blue, relative"
LOW_HIGH_WORDS = ("bluish", "reddish")
PERIOD: float | None = None
SOURCE = "pixels"
REDUCTION_TOLERANCE = 0.05


def measure(image: DecodedImage) -> float:
    """Return (red - blue) / (red + blue) of the mean color, -1 to 1; 0 is neutral.

    >>> import numpy as np
    >>> lamp = np.full((2, 2, 3), (150, 100, 50), np.uint8)
    >>> measure(DecodedImage(lamp, None, 2, 2))
    0.5
    """
    red, _, blue, _ = cv2.mean(image.pixels)
    return float((red - blue) / (red + blue)) if red + blue > 0 else 0.0
