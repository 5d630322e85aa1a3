"""Lossy compression."""

from __future__ import annotations

import albumentations as A

DOSES = (40.0, 20.0, 10.0)
NEUTRAL: float | None = 100.0
FORMAT = "JPEG quality {dose:.0f}"
WORDS = ("spoilt by JPEG compression", "")
ORDERED, CAUSE, CHANGES_LABEL = True, True, False


def jpeg(low: float, high: float) -> A.BasicTransform:
    """Compress the photo as a JPEG of low quality.

    The dose is libjpeg's quality, a whole number from 1 to 100; 100 alone leaves the photo as it is.
    """
    if low >= 100:
        return A.NoOp(p=1.0, strict=True)
    return A.ImageCompression(compression_type="jpeg", quality_range=(round(low), round(high)), p=1.0, strict=True)


def inverse(dose: float) -> float | None:
    """None: what was thrown away does not come back."""
    return None
