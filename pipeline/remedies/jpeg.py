"""JPEG compression."""

from __future__ import annotations

import albumentations as A

STRENGTHS = (40.0, 20.0, 10.0)
NEUTRAL_STRENGTH: float | None = 100.0
STRENGTH_FORMAT = "JPEG quality {strength:.0f}"
CAUSE_WORDS = ("spoilt by JPEG compression", "")
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = False


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Compress the image as a JPEG of low quality.

    The strength is the quality of libjpeg, a whole number from 1 to 100. A quality of 100 leaves
    the image unchanged.
    """
    if low >= 100:
        return A.NoOp(p=1.0, strict=True)
    return A.ImageCompression(
        compression_type="jpeg", quality_range=(round(low), round(high)), p=1.0, strict=True
    )


def invert_strength(strength: float) -> float | None:
    """Return None: compression loses detail for good."""
    return None
