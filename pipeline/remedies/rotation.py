"""A camera that hangs tilted."""

from __future__ import annotations

import albumentations as A
import cv2

DOSES = (-30.0, -20.0, -10.0, 10.0, 20.0, 30.0)
NEUTRAL: float | None = 0.0
FORMAT = "rotated by {dose:.3g} degrees"
WORDS = ("tilted clockwise", "tilted anticlockwise")
ORDERED, CAUSE, CHANGES_LABEL = True, True, True
MOST = 60.0  # degrees: further round, a photo is turned by a quarter and the rest


def rotation(low: float, high: float) -> A.BasicTransform:
    """Rotate the photo, anticlockwise for positive degrees; the corners are filled by reflection.

    The dose is the angle in degrees. Raises `ValueError` beyond `MOST`, which the quarter turns are for.
    """
    if max(abs(low), abs(high)) > MOST:
        raise ValueError(f"a rotation by at most {MOST:g} degrees, got {low:g} to {high:g}")
    return A.Rotate(limit=(low, high), border_mode=cv2.BORDER_REFLECT_101, p=1.0, strict=True)


def inverse(dose: float) -> float | None:
    """The opposite angle."""
    return -dose
