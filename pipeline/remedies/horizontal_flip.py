"""Left and right exchanged."""

from __future__ import annotations

import albumentations as A

DOSES = (1.0,)
NEUTRAL: float | None = None
FORMAT = "mirrored"
WORDS = ("", "mirrored")
ORDERED, CAUSE, CHANGES_LABEL = False, True, True


def horizontal_flip(low: float, high: float) -> A.BasicTransform:
    """Mirror the photo left to right."""
    return A.HorizontalFlip(p=1.0, strict=True)


def inverse(dose: float) -> float | None:
    """The same again."""
    return dose
