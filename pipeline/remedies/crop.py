"""A subject that is partly out of the picture."""

from __future__ import annotations

import albumentations as A
import cv2
import numpy as np

from pipeline.remedies import Pixels, dosed

DOSES = (0.3,)
NEUTRAL: float | None = 0.0
FORMAT = "cropped by {dose:.0%} of each side"
WORDS = ("", "cut off at the edges")
ORDERED, CAUSE, CHANGES_LABEL = True, True, True


def _cut(photo: Pixels, dose: float, random: np.random.Generator) -> Pixels:
    height, width = photo.shape[:2]
    down, right = random.uniform(0, dose, 2) * (height, width)
    scale = 1 / (1 - dose)
    matrix = np.array([[scale, 0, -scale * right], [0, scale, -scale * down]])
    kept = cv2.warpAffine(photo, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(kept, dtype=np.uint8)


def crop(low: float, high: float) -> A.BasicTransform:
    """Cut the photo down to a part at a random place, enlarged to its size again.

    The dose, 0 to 1, is the share of the height and of the width that is cut off. Raises `ValueError` for others.
    """
    if not 0 <= low <= high < 1:
        raise ValueError(f"a crop takes 0 to 1 of each side, got {low:g} to {high:g}")
    return dosed(_cut, low, high)


def inverse(dose: float) -> float | None:
    """None: what was cut off is not seen."""
    return None
