"""Held sideways: a badge or a camera turned on its side."""

from __future__ import annotations

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, dosed

DOSES = (-1.0, 1.0)
NEUTRAL: float | None = 0.0
FORMAT = "turned by {dose:.0f} quarters"
WORDS = ("held sideways, turned clockwise", "held sideways, turned anticlockwise")
ORDERED, CAUSE, CHANGES_LABEL = False, True, True


def _turn(photo: Pixels, dose: float, _: np.random.Generator) -> Pixels:
    return np.ascontiguousarray(np.rot90(photo, round(dose)))


def quarter_turns(low: float, high: float) -> A.BasicTransform:
    """Turn the photo by a quarter, anticlockwise for positive numbers; no pixel is lost.

    The dose is the number of quarters, whole: of a range, each photo has one of those in it. Raises `ValueError` for
    another.
    """
    if low != round(low) or high != round(high):
        raise ValueError(f"whole quarters, got {low:g} to {high:g}")
    return dosed(_turn, low, high)


def inverse(dose: float) -> float | None:
    """As many quarters back."""
    return -dose
