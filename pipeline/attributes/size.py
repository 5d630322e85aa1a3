"""How large the photo is."""

from __future__ import annotations

import math

from pipeline.attributes import Shot

UNIT = "px"
WORDS = ("small", "large")
PERIOD: float | None = None
SOURCE = "metadata"


def size(shot: Shot) -> float:
    """Square root of width times height of the stored file, in px."""
    return math.sqrt(shot.width * shot.height)
