"""Time of day."""

from __future__ import annotations

from pipeline.attributes import DecodedImage

UNIT = "o'clock"
LOW_HIGH_WORDS = ("taken early in the day", "taken late in the day")
PERIOD: float | None = 24.0
SOURCE = "metadata"


def measure(image: DecodedImage) -> float:
    """Return the hours since midnight on the camera's clock, 0 up to 24; NaN if unknown.

    >>> import numpy as np
    >>> from datetime import datetime
    >>> pixels = np.zeros((1, 1, 3), np.uint8)
    >>> measure(DecodedImage(pixels, datetime(2026, 3, 1, 22, 45), 1, 1))
    22.75
    >>> measure(DecodedImage(pixels, None, 1, 1))
    nan
    """
    if image.captured_at is None:
        return float("nan")
    return image.captured_at.hour + image.captured_at.minute / 60 + image.captured_at.second / 3600
