"""The colour cast along the line from lamp light to skylight."""

from __future__ import annotations

import cv2

from pipeline.attributes import Shot

UNIT = "red less blue, relative"
WORDS = ("bluish", "reddish")
PERIOD: float | None = None
SOURCE = "pixels"
REDUCED = 0.05


def warmth(shot: Shot) -> float:
    """(red - blue) / (red + blue) of the mean colour, -1 to 1; 0 is neutral."""
    red, _, blue, _ = cv2.mean(shot.pixels)
    return float((red - blue) / (red + blue)) if red + blue > 0 else 0.0
