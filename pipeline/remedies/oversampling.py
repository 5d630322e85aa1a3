"""Too few such images to learn from."""

from __future__ import annotations

import albumentations as A

STRENGTHS = ()  # not an intervention: the image stays as it is, and is shown more often
NEUTRAL_STRENGTH: float | None = 1.0
STRENGTH_FORMAT = "shown {strength:.3g} times as often"
CAUSE_WORDS = ("", "")
IS_ORDERED, IS_CAUSE, MAY_CHANGE_LABEL = False, False, False


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Show the image more often, as it is.

    The strength is how many times as often as the others.
    """
    return A.NoOp(p=1.0, strict=True)


def invert_strength(strength: float) -> float | None:
    """None: nothing is done to the image."""
    return None
