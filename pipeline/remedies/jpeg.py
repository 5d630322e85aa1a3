"""Lossy compression."""

from __future__ import annotations

import albumentations as A

STRENGTHS = (40.0, 20.0, 10.0)
NEUTRAL_STRENGTH: float | None = 100.0
STRENGTH_FORMAT = "JPEG quality {strength:.0f}"
CAUSE_WORDS = ("spoilt by JPEG compression", "")
IS_ORDERED, IS_CAUSE, MAY_CHANGE_LABEL = True, True, False


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Compress the image as a JPEG of low quality.

    The strength is libjpeg's quality, a whole number from 1 to 100; 100 alone leaves the image as it is.
    """
    if low >= 100:
        return A.NoOp(p=1.0, strict=True)
    return A.ImageCompression(
        compression_type="jpeg", quality_range=(round(low), round(high)), p=1.0, strict=True
    )


def invert_strength(strength: float) -> float | None:
    """None: what was thrown away does not come back."""
    return None
