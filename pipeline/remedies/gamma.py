"""Brightness of the mid-tones; black and white stay."""

from __future__ import annotations

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, apply_lookup_table, wrap_transform

STRENGTHS = (0.5, 2.0)
NEUTRAL_STRENGTH: float | None = 1.0
STRENGTH_FORMAT = "gamma {strength:.3g}"
CAUSE_WORDS = ("too light in the mid-tones", "too dark in the mid-tones")
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = False
IS_STACKABLE = True


def _apply_exponent(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    return apply_lookup_table(image, 255 * (np.arange(256) / 255) ** strength)


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Lighten or darken the mid-tones, keeping black and white.

    The strength is the exponent on values from 0 to 1, log-uniform: above 1 darkens.
    """
    return wrap_transform(_apply_exponent, low, high, is_log_uniform=True)


def invert_strength(strength: float) -> float | None:
    """Return the reciprocal exponent."""
    return 1 / strength
