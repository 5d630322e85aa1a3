"""The date."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipeline.attributes import Shot

UNIT = "days since 1970"
WORDS = ("early", "late")
PERIOD: float | None = None
SOURCE = "metadata"
_START = datetime(1970, 1, 1)


def show(value: float) -> str:
    """The date and time that a number of days stands for."""
    return f"{_START + timedelta(days=value):%Y-%m-%d %H:%M}"


def day(shot: Shot) -> float:
    """Days since 1970-01-01 on the camera's clock, with the time of day as fraction; NaN where unknown."""
    if shot.captured_at is None:
        return float("nan")
    return (shot.captured_at.replace(tzinfo=None) - _START).total_seconds() / 86400
