"""A hand or a subject that moved."""

from __future__ import annotations

import albumentations as A

STRENGTHS = (7.0,)
NEUTRAL_STRENGTH: float | None = 0.0
STRENGTH_FORMAT = "smeared by motion over {strength:.3g} px"
CAUSE_WORDS = ("", "blurred by motion")
IS_ORDERED, IS_CAUSE, MAY_CHANGE_LABEL = True, True, False


def _round_to_odd(length: float) -> int:
    return 2 * round((length - 1) / 2) + 1


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Smear the image along a straight line, in a random direction.

    The strength is the length of the line, in pixels of the model's input, to the nearest odd number; below 2 px the image
    stays as it is.
    """
    if _round_to_odd(high) < 3:
        return A.NoOp(p=1.0, strict=True)
    lengths = (max(_round_to_odd(low), 3), _round_to_odd(high))
    return A.MotionBlur(
        blur_limit=lengths,
        allow_shifted=False,
        angle_range=(0, 360),
        direction_range=(0.0, 0.0),
        p=1.0,
        strict=True,
    )


def invert_strength(strength: float) -> float | None:
    """None: the lost detail does not come back."""
    return None
