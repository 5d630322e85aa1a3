"""Too few training images of a kind."""

from __future__ import annotations

import albumentations as A

STRENGTHS = ()  # not an intervention: the image stays as it is, and is shown more often
NEUTRAL_STRENGTH: float | None = 1.0
STRENGTH_FORMAT = "shown {strength:.3g} times as often"
CAUSE_WORDS = ("", "")
IS_ORDERED = False
IS_CAUSE = False
MAY_CHANGE_LABEL = False


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Show the image more often, as it is.

    The strength is how often the image is shown, relative to the others.
    """
    return A.NoOp(p=1.0, strict=True)


def invert_strength(strength: float) -> float | None:
    """Return None: nothing is done to the image."""
    return None
