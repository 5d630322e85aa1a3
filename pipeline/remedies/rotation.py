"""A tilted camera."""

from __future__ import annotations

import albumentations as A
import cv2

STRENGTHS = (-30.0, -20.0, -10.0, 10.0, 20.0, 30.0)
NEUTRAL_STRENGTH: float | None = 0.0
STRENGTH_FORMAT = "rotated by {strength:.3g} degrees"
CAUSE_WORDS = ("tilted clockwise", "tilted anticlockwise")
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = True
MAX_ROTATION_DEGREES = 60.0  # degrees: further round, an image is turned by a quarter and the rest


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Rotate the image, anticlockwise for positive degrees; the corners are filled by reflection.

    The strength is the angle in degrees.

    Raises:
        ValueError: the angle exceeds `MAX_ROTATION_DEGREES`; `quarter_turns` covers the rest.
    """
    if max(abs(low), abs(high)) > MAX_ROTATION_DEGREES:
        raise ValueError(
            f"a rotation by at most {MAX_ROTATION_DEGREES:g} degrees, got {low:g} to {high:g}"
        )
    return A.Rotate(limit=(low, high), border_mode=cv2.BORDER_REFLECT_101, p=1.0, strict=True)


def invert_strength(strength: float) -> float | None:
    """Return the opposite angle.

    >>> invert_strength(20.0)
    -20.0
    """
    return -strength
