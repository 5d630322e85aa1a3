"""Left and right exchanged."""

from __future__ import annotations

import albumentations as A

STRENGTHS = (1.0,)
NEUTRAL_STRENGTH: float | None = None
STRENGTH_FORMAT = "mirrored"
CAUSE_WORDS = ("", "mirrored")
IS_ORDERED = False
IS_CAUSE = True
MAY_CHANGE_LABEL = True
IS_STACKABLE = True


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Mirror the image left to right."""
    return A.HorizontalFlip(p=1.0, strict=True)


def invert_strength(strength: float) -> float | None:
    """Return the same strength: a second flip undoes the first."""
    return strength
