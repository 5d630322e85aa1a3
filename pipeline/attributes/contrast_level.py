"""Contrast: the spread of dark and bright parts."""

from __future__ import annotations

import cv2

from pipeline.attributes import DecodedImage

UNIT = "of 255"
LOW_HIGH_WORDS = ("low in contrast", "high in contrast")
PERIOD: float | None = None
SOURCE = "pixels"


def measure(image: DecodedImage) -> float:
    """Return the standard deviation of the luma, 0 to 127.5.

    Source: RMS contrast (Peli 1990).

    >>> import numpy as np
    >>> halves = np.zeros((4, 4, 3), np.uint8)
    >>> halves[:, 2:] = 200
    >>> measure(DecodedImage(halves, None, 4, 4))
    100.0
    """
    return float(cv2.meanStdDev(image.luma)[1][0, 0])
