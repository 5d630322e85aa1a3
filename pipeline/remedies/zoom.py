"""Nearer or further away."""

from __future__ import annotations

import albumentations as A
import cv2

DOSES = (0.7, 1.4)
NEUTRAL: float | None = 1.0
FORMAT = "zoomed x{dose:.3g}"
WORDS = ("too small in the frame", "too large in the frame")
ORDERED, CAUSE, CHANGES_LABEL = True, True, False


def zoom(low: float, high: float) -> A.BasicTransform:
    """Zoom in (cutting the edges off) or out (filling them by reflection).

    The dose multiplies lengths, around the centre.
    """
    return A.Affine(scale=(low, high), keep_ratio=True, border_mode=cv2.BORDER_REFLECT_101, p=1.0, strict=True)


def inverse(dose: float) -> float | None:
    """The reciprocal scale; edges that were cut off stay lost."""
    return 1 / dose
