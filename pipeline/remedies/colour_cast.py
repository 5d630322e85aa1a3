"""Lamp light or skylight that the camera did not correct."""

from __future__ import annotations

import math

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, dosed, look_up

DOSES = (0.6, 1.6)
NEUTRAL: float | None = 1.0
FORMAT = "red against blue x{dose:.3g}"
WORDS = ("too blue", "too red")
ORDERED, CAUSE, CHANGES_LABEL = True, True, False


def _tint(photo: Pixels, dose: float, _: np.random.Generator) -> Pixels:
    gains = (math.sqrt(dose), 1.0, 1 / math.sqrt(dose))
    return look_up(photo, np.arange(256)[:, None] * np.array(gains))


def colour_cast(low: float, high: float) -> A.BasicTransform:
    """Warm or cool the colours: raise red and lower blue by the same factor, or the reverse.

    The dose is the gain of red over that of blue, log-uniform: above 1 is warmer.
    """
    return dosed(_tint, low, high, log=True)


def inverse(dose: float) -> float | None:
    """The reciprocal ratio; what was clipped stays lost."""
    return 1 / dose
