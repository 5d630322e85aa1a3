"""Crisper edges."""

from __future__ import annotations

import albumentations as A

DOSES = (0.5,)
NEUTRAL: float | None = 0.0
FORMAT = "sharpened by {dose:.3g}"
WORDS = ("", "oversharpened")
ORDERED, CAUSE, CHANGES_LABEL = True, False, False


def sharpen(low: float, high: float) -> A.BasicTransform:
    """Sharpen the edges.

    The dose, 0 to 1, is the share of the 3 x 3 sharpened photo that is mixed in.
    """
    return A.Sharpen(alpha=(low, high), lightness=(1.0, 1.0), method="kernel", p=1.0, strict=True)


def inverse(dose: float) -> float | None:
    """None: sharpening clips, and blurring back loses more."""
    return None
