"""The time of day."""

from __future__ import annotations

from pipeline.attributes import DecodedImage

UNIT = "o'clock"
LOW_HIGH_WORDS = ("taken early in the day", "taken late in the day")
PERIOD: float | None = 24.0
SOURCE = "metadata"


def measure(image: DecodedImage) -> float:
    """Hours since midnight on the camera's clock, 0 up to 24; NaN where the time is unknown."""
    if image.captured_at is None:
        return float("nan")
    return image.captured_at.hour + image.captured_at.minute / 60 + image.captured_at.second / 3600
