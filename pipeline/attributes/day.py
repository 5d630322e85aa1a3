"""The date."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipeline.attributes import DecodedImage

UNIT = "days since 1970"
LOW_HIGH_WORDS = ("early", "late")
PERIOD: float | None = None
SOURCE = "metadata"
_EPOCH_START = datetime(1970, 1, 1)


def format_value(value: float) -> str:
    """The date and time that a number of days stands for."""
    return f"{_EPOCH_START + timedelta(days=value):%Y-%m-%d %H:%M}"


def measure(image: DecodedImage) -> float:
    """Days since 1970-01-01 on the camera's clock, with the time of day as fraction; NaN where unknown."""
    if image.captured_at is None:
        return float("nan")
    return (image.captured_at.replace(tzinfo=None) - _EPOCH_START).total_seconds() / 86400
