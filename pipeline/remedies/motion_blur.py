"""Motion blur of the camera or the subject."""

from __future__ import annotations

import albumentations as A

STRENGTHS = (7.0,)
NEUTRAL_STRENGTH: float | None = 0.0
STRENGTH_FORMAT = "smeared by motion over {strength:.3g} px"
CAUSE_WORDS = ("", "blurred by motion")
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = False


def _round_to_odd(length: float) -> int:
    return 2 * round((length - 1) / 2) + 1


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Smear the image along a straight line, in a random direction.

    The strength is the length of the line in pixels of the model's input, to the nearest odd
    number. Below 2 px the image stays unchanged.
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
    """Return None: the lost detail cannot be restored."""
    return None
