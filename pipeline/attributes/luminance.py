"""Brightness."""

from __future__ import annotations

import cv2

from pipeline.attributes import DecodedImage

UNIT = "of 255"
LOW_HIGH_WORDS = ("dark", "bright")
PERIOD: float | None = None
SOURCE = "pixels"
REDUCTION_TOLERANCE = 6.0


def measure(image: DecodedImage) -> float:
    """Return the mean luma (Rec. 601) of the sRGB values, 0 to 255.

    >>> import numpy as np
    >>> measure(DecodedImage(np.full((2, 2, 3), 19, np.uint8), None, 2, 2))
    19.0
    """
    return float(cv2.sumElems(image.luma)[0]) / image.luma.size
