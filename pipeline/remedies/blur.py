"""Out of focus."""

from __future__ import annotations

import albumentations as A
import cv2
import numpy as np

from pipeline.remedies import Pixels, dosed

DOSES = (0.7, 1.2, 2.0)
NEUTRAL: float | None = 0.0
FORMAT = "blurred by {dose:.3g} px"
WORDS = ("", "blurred")
ORDERED, CAUSE, CHANGES_LABEL = True, True, False


def _blur(photo: Pixels, dose: float, _: np.random.Generator) -> Pixels:
    if dose == 0:
        return photo
    return np.asarray(cv2.GaussianBlur(photo, (0, 0), dose, borderType=cv2.BORDER_REFLECT_101), dtype=np.uint8)


def blur(low: float, high: float) -> A.BasicTransform:
    """Blur the photo.

    The dose is the standard deviation of the Gaussian, in pixels of the model's input.
    """
    return dosed(_blur, max(low, 0.0), high)


def inverse(dose: float) -> float | None:
    """None: the lost detail does not come back."""
    return None
