"""Held sideways: a badge or a camera turned on its side."""

from __future__ import annotations

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, wrap_transform

STRENGTHS = (-1.0, 1.0)
NEUTRAL_STRENGTH: float | None = 0.0
STRENGTH_FORMAT = "turned by {strength:.0f} quarters"
CAUSE_WORDS = ("held sideways, turned clockwise", "held sideways, turned anticlockwise")
IS_ORDERED, IS_CAUSE, MAY_CHANGE_LABEL = False, True, True


def _turn_quarters(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    return np.ascontiguousarray(np.rot90(image, round(strength)))


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Turn the image by a quarter, anticlockwise for positive numbers; no pixel is lost.

    The strength is the number of quarters, whole: of a range, each image has one of those in it. Raises `ValueError` for
    another.
    """
    if low != round(low) or high != round(high):
        raise ValueError(f"whole quarters, got {low:g} to {high:g}")
    return wrap_transform(_turn_quarters, low, high)


def invert_strength(strength: float) -> float | None:
    """As many quarters back."""
    return -strength
