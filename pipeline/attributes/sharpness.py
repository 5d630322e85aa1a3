"""How crisp edges and texture are."""

from __future__ import annotations

import math

import cv2

from pipeline.attributes import DecodedImage

UNIT = "log10"
LOW_HIGH_WORDS = ("blurred", "sharp")
PERIOD: float | None = None
SOURCE = "pixels"


def measure(image: DecodedImage) -> float:
    """log10(1 + variance of the Laplacian of the luma) (Pech-Pacheco et al. 2000); NaN below 3 x 3 px."""
    if min(image.luma.shape) < 3:
        return float("nan")
    spread = cv2.meanStdDev(cv2.Laplacian(image.luma, cv2.CV_32F)[1:-1, 1:-1])[1][0, 0]
    return math.log10(1 + float(spread) ** 2)
