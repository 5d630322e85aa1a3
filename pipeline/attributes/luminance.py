"""How light the photo is."""

from __future__ import annotations

import cv2

from pipeline.attributes import Shot

UNIT = "of 255"
WORDS = ("dark", "bright")
PERIOD: float | None = None
SOURCE = "pixels"
REDUCED = 6.0


def luminance(shot: Shot) -> float:
    """Mean luma (Rec. 601) of the sRGB values, 0 to 255."""
    return float(cv2.sumElems(shot.luma)[0]) / shot.luma.size
