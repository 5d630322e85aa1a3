"""A hand or a subject that moved."""

from __future__ import annotations

import albumentations as A

DOSES = (7.0,)
NEUTRAL: float | None = 0.0
FORMAT = "smeared by motion over {dose:.3g} px"
WORDS = ("", "blurred by motion")
ORDERED, CAUSE, CHANGES_LABEL = True, True, False


def _odd(length: float) -> int:
    return 2 * round((length - 1) / 2) + 1


def motion_blur(low: float, high: float) -> A.BasicTransform:
    """Smear the photo along a straight line, in a random direction.

    The dose is the length of the line, in pixels of the model's input, to the nearest odd number; below 2 px the photo
    stays as it is.
    """
    if _odd(high) < 3:
        return A.NoOp(p=1.0, strict=True)
    lengths = (max(_odd(low), 3), _odd(high))
    return A.MotionBlur(
        blur_limit=lengths, allow_shifted=False, angle_range=(0, 360), direction_range=(0.0, 0.0), p=1.0, strict=True
    )


def inverse(dose: float) -> float | None:
    """None: the lost detail does not come back."""
    return None
