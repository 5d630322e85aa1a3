"""How large the image is."""

from __future__ import annotations

import math

from pipeline.attributes import DecodedImage

UNIT = "px"
LOW_HIGH_WORDS = ("small", "large")
PERIOD: float | None = None
SOURCE = "metadata"


def measure(image: DecodedImage) -> float:
    """Square root of width times height of the stored file, in px."""
    return math.sqrt(image.width * image.height)
