"""How far light and dark parts lie apart."""

from __future__ import annotations

import cv2

from pipeline.attributes import Shot

UNIT = "of 255"
WORDS = ("low in contrast", "high in contrast")
PERIOD: float | None = None
SOURCE = "pixels"


def contrast(shot: Shot) -> float:
    """Standard deviation of the luma (RMS contrast, Peli 1990), 0 to 127.5."""
    return float(cv2.meanStdDev(shot.luma)[1][0, 0])
