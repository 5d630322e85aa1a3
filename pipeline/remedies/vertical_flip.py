"""Top and bottom exchanged."""

from __future__ import annotations

import albumentations as A

DOSES = (1.0,)
NEUTRAL: float | None = None
FORMAT = "mirrored top to bottom"
WORDS = ("", "upside down")
ORDERED, CAUSE, CHANGES_LABEL = False, True, True


def vertical_flip(low: float, high: float) -> A.BasicTransform:
    """Mirror the photo top to bottom."""
    return A.VerticalFlip(p=1.0, strict=True)


def inverse(dose: float) -> float | None:
    """The same again."""
    return dose
