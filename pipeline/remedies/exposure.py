"""Exposure: more or less light."""

from __future__ import annotations

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, apply_lookup_table, wrap_transform

STRENGTHS = (0.12, 0.25, 0.5, 0.7, 1.5, 2.0, 3.0, 4.0)
NEUTRAL_STRENGTH: float | None = 1.0
STRENGTH_FORMAT = "exposure x{strength:.3g}"
MULTIPLIED_QUANTITY = "exposure"
CAUSE_WORDS = ("too dark", "too bright")
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = False
IS_STACKABLE = True


def _scale_brightness(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    return apply_lookup_table(image, np.arange(256) * strength)


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Brighten or darken: multiply the brightness of every pixel, up to white.

    The strength is the gain on sRGB values, log-uniform.
    """
    return wrap_transform(_scale_brightness, low, high, is_log_uniform=True)


def invert_strength(strength: float) -> float | None:
    """Return the reciprocal gain; clipped values stay lost.

    >>> invert_strength(0.25)
    4.0
    """
    return 1 / strength
