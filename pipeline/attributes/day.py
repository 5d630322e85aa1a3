"""Capture date."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipeline.attributes import DecodedImage

UNIT = "days since 1970"
LOW_HIGH_WORDS = ("early", "late")
PERIOD: float | None = None
SOURCE = "metadata"
_EPOCH_START = datetime(1970, 1, 1)


def format_value(value: float) -> str:
    """Return the date and time of a number of days.

    >>> format_value(365.5)
    '1971-01-01 12:00'
    """
    return f"{_EPOCH_START + timedelta(days=value):%Y-%m-%d %H:%M}"


def measure(image: DecodedImage) -> float:
    """Return the days since 1970-01-01 on the camera's clock, with the time of day as fraction.

    NaN if the time is unknown.

    >>> import numpy as np
    >>> noon = datetime(1970, 1, 2, 12)
    >>> measure(DecodedImage(np.zeros((1, 1, 3), np.uint8), noon, 1, 1))
    1.5
    """
    if image.captured_at is None:
        return float("nan")
    return (image.captured_at.replace(tzinfo=None) - _EPOCH_START).total_seconds() / 86400
