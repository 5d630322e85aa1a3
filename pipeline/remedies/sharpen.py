"""Sharpening."""

from __future__ import annotations

import albumentations as A

STRENGTHS = (0.5,)
NEUTRAL_STRENGTH: float | None = 0.0
STRENGTH_FORMAT = "sharpened by {strength:.3g}"
CAUSE_WORDS = ("", "oversharpened")
IS_ORDERED = True
IS_CAUSE = False
MAY_CHANGE_LABEL = False


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Sharpen the edges.

    The strength is the share of the 3 x 3 sharpened image that is mixed in, 0 to 1.
    """
    return A.Sharpen(alpha=(low, high), lightness=(1.0, 1.0), method="kernel", p=1.0, strict=True)


def invert_strength(strength: float) -> float | None:
    """Return None: sharpening clips, and blurring back loses more."""
    return None
