"""Glare: parts that are burned out to white."""

from __future__ import annotations

import cv2

from pipeline.attributes import DecodedImage

UNIT = "% of the pixels"
LOW_HIGH_WORDS = ("free of glare", "burned out in parts")
PERIOD: float | None = None
SOURCE = "pixels"
_WHITE_LEVEL = 250  # JPEG and scaling spread clipped white over the levels 250 to 255


def measure(image: DecodedImage) -> float:
    """Return the percentage of pixels whose luma is clipped to white, 0 to 100.

    A white wall or backdrop counts as well.

    Source: saturated pixels as in Zhang and Brainard 2004, by luma.

    >>> import numpy as np
    >>> lamp = np.full((8, 8, 3), 90, np.uint8)
    >>> lamp[:2] = 255
    >>> measure(DecodedImage(lamp, None, 8, 8))
    25.0
    """
    _, is_white = cv2.threshold(image.luma, _WHITE_LEVEL - 1, 1, cv2.THRESH_BINARY)
    return 100 * cv2.countNonZero(is_white) / image.luma.size
