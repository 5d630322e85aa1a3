"""Light and dark further apart or closer together."""

from __future__ import annotations

import albumentations as A
import cv2
import numpy as np

from pipeline.remedies import Pixels, dosed, look_up

DOSES = (0.5, 0.7, 1.5, 2.5)
NEUTRAL: float | None = 1.0
FORMAT = "contrast x{dose:.3g}"
MULTIPLIES = "contrast"
MOST = 10.0  # beyond it every photo is black and white
WORDS = ("too low in contrast", "too harsh in contrast")
ORDERED, CAUSE, CHANGES_LABEL = True, True, False


def _spread(photo: Pixels, dose: float, _: np.random.Generator) -> Pixels:
    mean = float(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).mean())
    return look_up(photo, mean + dose * (np.arange(256) - mean))


def contrast(low: float, high: float) -> A.BasicTransform:
    """Raise or lower the contrast around the photo's own mean brightness.

    The dose multiplies the distance of every value from the mean luma, log-uniform. Raises `ValueError` beyond `MOST`.
    """
    if high > MOST:
        raise ValueError(f"contrast up to x{MOST:g}, got x{high:g}")
    return dosed(_spread, low, high, log=True)


def inverse(dose: float) -> float | None:
    """The reciprocal factor, up to `MOST`; what was clipped stays lost."""
    return min(1 / dose, MOST)
