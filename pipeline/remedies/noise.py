"""Sensor noise."""

from __future__ import annotations

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, wrap_transform

STRENGTHS = (6.0, 12.0, 25.0)
NEUTRAL_STRENGTH: float | None = 0.0
STRENGTH_FORMAT = "noise of {strength:.3g} gray levels"
CAUSE_WORDS = ("", "noisy")
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = False


def _add_noise(image: Pixels, strength: float, generator: np.random.Generator) -> Pixels:
    noisy = image + strength * generator.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Add grain, each pixel and color on its own.

    The strength is the standard deviation of the Gaussian, in gray levels of 255.
    """
    return wrap_transform(_add_noise, max(low, 0.0), high)


def invert_strength(strength: float) -> float | None:
    """Return None: noise cannot be subtracted."""
    return None
