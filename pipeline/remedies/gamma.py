"""Lighter or darker mid-tones, black and white kept."""

from __future__ import annotations

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, dosed, look_up

DOSES = (0.5, 2.0)
NEUTRAL: float | None = 1.0
FORMAT = "gamma {dose:.3g}"
WORDS = ("too light in the mid-tones", "too dark in the mid-tones")
ORDERED, CAUSE, CHANGES_LABEL = True, True, False


def _bend(photo: Pixels, dose: float, _: np.random.Generator) -> Pixels:
    return look_up(photo, 255 * (np.arange(256) / 255) ** dose)


def gamma(low: float, high: float) -> A.BasicTransform:
    """Lighten or darken the mid-tones, keeping black and white.

    The dose is the exponent on values from 0 to 1, log-uniform: above 1 darkens.
    """
    return dosed(_bend, low, high, log=True)


def inverse(dose: float) -> float | None:
    """The reciprocal exponent."""
    return 1 / dose
