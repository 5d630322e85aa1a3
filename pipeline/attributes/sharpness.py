"""How crisp edges and texture are."""

from __future__ import annotations

import math

import cv2

from pipeline.attributes import Shot

UNIT = "log10"
WORDS = ("blurred", "sharp")
PERIOD: float | None = None
SOURCE = "pixels"


def sharpness(shot: Shot) -> float:
    """log10(1 + variance of the Laplacian of the luma) (Pech-Pacheco et al. 2000); NaN below 3 x 3 px."""
    if min(shot.luma.shape) < 3:
        return float("nan")
    spread = cv2.meanStdDev(cv2.Laplacian(shot.luma, cv2.CV_32F)[1:-1, 1:-1])[1][0, 0]
    return math.log10(1 + float(spread) ** 2)
