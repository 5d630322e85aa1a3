"""Global contrast."""

from __future__ import annotations

import albumentations as A
import cv2
import numpy as np

from pipeline.remedies import Pixels, apply_lookup_table, wrap_transform

STRENGTHS = (0.5, 0.7, 1.5, 2.5)
NEUTRAL_STRENGTH: float | None = 1.0
STRENGTH_FORMAT = "contrast x{strength:.3g}"
MULTIPLIED_QUANTITY = "contrast"
MAX_CONTRAST_FACTOR = 10.0  # beyond it every image is black and white
CAUSE_WORDS = ("too low in contrast", "too harsh in contrast")
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = False


def _scale_contrast(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    mean = float(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean())
    return apply_lookup_table(image, mean + strength * (np.arange(256) - mean))


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Raise or lower the contrast around the image's own mean brightness.

    The strength multiplies the distance of every value from the mean luma, log-uniform.

    Raises:
        ValueError: the strength exceeds `MAX_CONTRAST_FACTOR`.
    """
    if high > MAX_CONTRAST_FACTOR:
        raise ValueError(f"contrast up to x{MAX_CONTRAST_FACTOR:g}, got x{high:g}")
    return wrap_transform(_scale_contrast, low, high, is_log_uniform=True)


def invert_strength(strength: float) -> float | None:
    """Return the reciprocal factor, up to `MAX_CONTRAST_FACTOR`; clipped values stay lost.

    >>> invert_strength(0.5), invert_strength(0.01)
    (2.0, 10.0)
    """
    return min(1 / strength, MAX_CONTRAST_FACTOR)
