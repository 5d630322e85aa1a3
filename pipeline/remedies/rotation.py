"""A camera that hangs tilted."""

from __future__ import annotations

import albumentations as A
import cv2

DOSES = (-30.0, -20.0, -10.0, 10.0, 20.0, 30.0)
NEUTRAL: float | None = 0.0
FORMAT = "rotated by {dose:.3g} degrees"
WORDS = ("tilted clockwise", "tilted anticlockwise")
ORDERED, CAUSE, CHANGES_LABEL = True, True, True


def rotation(low: float, high: float) -> A.BasicTransform:
    """Rotate the photo, anticlockwise for positive degrees; the corners are filled by reflection.

    The dose is the angle in degrees.
    """
    return A.Rotate(limit=(low, high), border_mode=cv2.BORDER_REFLECT_101, p=1.0, strict=True)


def inverse(dose: float) -> float | None:
    """The opposite angle."""
    return -dose
