"""Defocus blur."""

from __future__ import annotations

import albumentations as A
import cv2
import numpy as np

from pipeline.remedies import Pixels, wrap_transform

STRENGTHS = (0.7, 1.2, 2.0)
NEUTRAL_STRENGTH: float | None = 0.0
STRENGTH_FORMAT = "blurred by {strength:.3g} px"
CAUSE_WORDS = ("", "blurred")
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = False


def _blur_image(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    if strength == 0:
        return image
    return np.asarray(
        cv2.GaussianBlur(image, (0, 0), strength, borderType=cv2.BORDER_REFLECT_101), dtype=np.uint8
    )


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Blur the image.

    The strength is the standard deviation of the Gaussian, in pixels of the model's input.
    """
    return wrap_transform(_blur_image, max(low, 0.0), high)


def invert_strength(strength: float) -> float | None:
    """Return None: the lost detail cannot be restored."""
    return None
