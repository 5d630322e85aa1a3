"""A color cast that the camera did not correct."""

from __future__ import annotations

import math

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, apply_lookup_table, wrap_transform

STRENGTHS = (0.6, 1.6)
NEUTRAL_STRENGTH: float | None = 1.0
STRENGTH_FORMAT = "red against blue x{strength:.3g}"
CAUSE_WORDS = ("too blue", "too red")
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = False
IS_STACKABLE = True


def _scale_channels(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    gains = (math.sqrt(strength), 1.0, 1 / math.sqrt(strength))
    return apply_lookup_table(image, np.arange(256)[:, None] * np.array(gains))


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Warm or cool the colors: raise red and lower blue by the same factor, or the reverse.

    The strength is the gain of red over the gain of blue, log-uniform: above 1 is warmer.
    """
    return wrap_transform(_scale_channels, low, high, is_log_uniform=True)


def invert_strength(strength: float) -> float | None:
    """Return the reciprocal ratio; clipped values stay lost."""
    return 1 / strength
