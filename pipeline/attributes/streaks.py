"""Streaks: detail in one direction only, as motion blur leaves it."""

from __future__ import annotations

import math

import cv2

from pipeline.attributes import DecodedImage

UNIT = "of 1"
LOW_HIGH_WORDS = ("detailed in all directions", "streaked in one direction")
PERIOD: float | None = None
SOURCE = "pixels"
_WORKING_SIDE = 256  # longer side in pixels: streaks are long


def measure(image: DecodedImage) -> float:
    """Return the coherence of the structure tensor of the whole image, 0 to 1; NaN if flat.

    0 means gradients in all directions alike, 1 gradients along one line.

    Source: Bigun and Granlund 1987.

    >>> import numpy as np
    >>> grain = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    >>> moved = cv2.blur(grain, (15, 1))
    >>> measure(DecodedImage(grain, None, 64, 64)) < 0.1
    True
    >>> measure(DecodedImage(moved, None, 64, 64)) > 0.8
    True
    """
    luma = image.shrink_luma(_WORKING_SIDE)
    if min(luma.shape) < 3:
        return float("nan")
    x = cv2.Scharr(luma, cv2.CV_32F, 1, 0)[1:-1, 1:-1]
    y = cv2.Scharr(luma, cv2.CV_32F, 0, 1)[1:-1, 1:-1]
    xx, yy = cv2.norm(x, cv2.NORM_L2SQR), cv2.norm(y, cv2.NORM_L2SQR)
    xy = cv2.sumElems(cv2.multiply(x, y))[0]
    return math.hypot(xx - yy, 2 * xy) / (xx + yy) if xx + yy > 0 else float("nan")
