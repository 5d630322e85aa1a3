"""Sharpness of edges and texture."""

from __future__ import annotations

import math

import cv2

from pipeline.attributes import DecodedImage

UNIT = "log10"
LOW_HIGH_WORDS = ("blurred", "sharp")
PERIOD: float | None = None
SOURCE = "pixels"


def measure(image: DecodedImage) -> float:
    """Return log10(1 + variance of the Laplacian of the luma); NaN below 3 x 3 px.

    Source: Pech-Pacheco et al. 2000.

    >>> import numpy as np
    >>> stripes = np.zeros((8, 8, 3), np.uint8)
    >>> stripes[:, ::2] = 255
    >>> sharp = measure(DecodedImage(stripes, None, 8, 8))
    >>> blurred = cv2.blur(stripes, (3, 3))
    >>> sharp > measure(DecodedImage(blurred, None, 8, 8)) > 0
    True
    """
    if min(image.luma.shape) < 3:
        return float("nan")
    spread = cv2.meanStdDev(cv2.Laplacian(image.luma, cv2.CV_32F)[1:-1, 1:-1])[1][0, 0]
    return math.log10(1 + float(spread) ** 2)
