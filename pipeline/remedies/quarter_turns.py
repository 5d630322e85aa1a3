"""An image turned by a quarter, from a badge or a camera held sideways."""

from __future__ import annotations

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, wrap_transform

STRENGTHS = (-1.0, 1.0)
NEUTRAL_STRENGTH: float | None = 0.0
STRENGTH_FORMAT = "turned by {strength:.0f} quarters"
CAUSE_WORDS = ("held sideways, turned clockwise", "held sideways, turned anticlockwise")
IS_ORDERED = False
IS_CAUSE = True
MAY_CHANGE_LABEL = True


def _turn_quarters(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    return np.ascontiguousarray(np.rot90(image, round(strength)))


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Turn the image by a quarter, anticlockwise for positive numbers; no pixel is lost.

    The strength is a whole number of quarters. Of a range, each image gets one whole number in it.

    Raises:
        ValueError: the strength is no whole number.
    """
    if low != round(low) or high != round(high):
        raise ValueError(f"whole quarters, got {low:g} to {high:g}")
    return wrap_transform(_turn_quarters, low, high)


def invert_strength(strength: float) -> float | None:
    """Return the opposite number of quarter turns."""
    return -strength
