"""A subject that is partly outside the frame."""

from __future__ import annotations

import albumentations as A
import cv2
import numpy as np

from pipeline.remedies import Pixels, wrap_transform

STRENGTHS = (0.3,)
NEUTRAL_STRENGTH: float | None = 0.0
STRENGTH_FORMAT = "cropped by {strength:.0%} of each side"
CAUSE_WORDS = ("", "cut off at the edges")
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = True


def _crop_image(image: Pixels, strength: float, generator: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    down, right = generator.uniform(0, strength, 2) * (height, width)
    scale = 1 / (1 - strength)
    matrix = np.array([[scale, 0, -scale * right], [0, scale, -scale * down]])
    cropped = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cropped, dtype=np.uint8)


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Cut the image down to a part at a random place, enlarged to its size again.

    The strength is the share of the height and of the width that is cut off, 0 to 1.

    Raises:
        ValueError: the strength is outside 0 to 1.
    """
    if not 0 <= low <= high < 1:
        raise ValueError(f"a crop takes 0 to 1 of each side, got {low:g} to {high:g}")
    return wrap_transform(_crop_image, low, high)


def invert_strength(strength: float) -> float | None:
    """Return None: cropped parts cannot be restored."""
    return None
