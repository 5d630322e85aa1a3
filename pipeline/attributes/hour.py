"""The time of day."""

from __future__ import annotations

from pipeline.attributes import Shot

UNIT = "o'clock"
WORDS = ("taken early in the day", "taken late in the day")
PERIOD: float | None = 24.0
SOURCE = "metadata"


def hour(shot: Shot) -> float:
    """Hours since midnight on the camera's clock, 0 up to 24; NaN where the time is unknown."""
    if shot.captured_at is None:
        return float("nan")
    return shot.captured_at.hour + shot.captured_at.minute / 60 + shot.captured_at.second / 3600
