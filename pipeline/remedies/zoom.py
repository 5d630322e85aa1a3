"""Distance of the subject: larger or smaller in the frame."""

from __future__ import annotations

import albumentations as A
import cv2

STRENGTHS = (0.7, 1.4)
NEUTRAL_STRENGTH: float | None = 1.0
STRENGTH_FORMAT = "zoomed x{strength:.3g}"
CAUSE_WORDS = ("too small in the frame", "too large in the frame")
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = False


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Zoom in (cutting the edges off) or out (filling them by reflection).

    The strength multiplies lengths, around the center.
    """
    return A.Affine(
        scale=(low, high), keep_ratio=True, border_mode=cv2.BORDER_REFLECT_101, p=1.0, strict=True
    )


def invert_strength(strength: float) -> float | None:
    """Return the reciprocal scale; cut edges stay lost.

    >>> invert_strength(0.5)
    2.0
    """
    return 1 / strength
