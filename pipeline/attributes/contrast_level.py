"""How far light and dark parts lie apart."""

from __future__ import annotations

import cv2

from pipeline.attributes import DecodedImage

UNIT = "of 255"
LOW_HIGH_WORDS = ("low in contrast", "high in contrast")
PERIOD: float | None = None
SOURCE = "pixels"


def measure(image: DecodedImage) -> float:
    """Standard deviation of the luma (RMS contrast, Peli 1990), 0 to 127.5."""
    return float(cv2.meanStdDev(image.luma)[1][0, 0])
