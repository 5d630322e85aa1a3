"""The date."""

from __future__ import annotations

from datetime import datetime

from pipeline.attributes import Shot

UNIT = "days since 1970"
WORDS = ("early", "late")
PERIOD: float | None = None
SOURCE = "metadata"


def day(shot: Shot) -> float:
    """Days since 1970-01-01 on the camera's clock, with the time of day as fraction; NaN where unknown."""
    if shot.captured_at is None:
        return float("nan")
    return (shot.captured_at.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds() / 86400
