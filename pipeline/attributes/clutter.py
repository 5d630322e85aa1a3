"""Clutter: how many things there are to see."""

from __future__ import annotations

import cv2

from pipeline.attributes import DecodedImage

UNIT = "of 1"
LOW_HIGH_WORDS = ("plain", "cluttered")
PERIOD: float | None = None
SOURCE = "pixels"
IS_SCENE = True
_WORKING_SIDE = 128  # longer side in pixels: objects, not texture
_EDGE_STEPS = (60, 120)  # weak and strong edges, in units of the Sobel gradient


def measure(image: DecodedImage) -> float:
    """Return the share of pixels on an edge, 0 to 1.

    Source: edge density (Mack and Oliva 2004), by Canny 1986.

    >>> import numpy as np
    >>> plain = np.full((64, 64, 3), 90, np.uint8)
    >>> busy = plain.copy()
    >>> busy[::8] = 200
    >>> measure(DecodedImage(plain, None, 64, 64))
    0.0
    >>> measure(DecodedImage(busy, None, 64, 64)) > 0.1
    True
    """
    luma = image.shrink_luma(_WORKING_SIDE)
    return cv2.countNonZero(cv2.Canny(luma, *_EDGE_STEPS)) / luma.size
