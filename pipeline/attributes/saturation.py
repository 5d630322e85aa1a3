"""Strength of the colors."""

from __future__ import annotations

import cv2

from pipeline.attributes import DecodedImage

UNIT = "of 1"
LOW_HIGH_WORDS = ("pale in color", "strong in color")
PERIOD: float | None = None
SOURCE = "pixels"


def measure(image: DecodedImage) -> float:
    """Return the mean range of red, green and blue over their mean maximum, 0 to 1.

    It is a ratio of means: the mean of each pixel's HSV saturation would be dominated by noise in
    dark images.

    >>> import numpy as np
    >>> red = np.zeros((2, 2, 3), np.uint8)
    >>> red[..., 0] = 200
    >>> measure(DecodedImage(red, None, 2, 2)), measure(DecodedImage(red * 0 + 90, None, 2, 2))
    (1.0, 0.0)
    """
    red, green, blue = cv2.split(image.pixels)
    top = cv2.mean(cv2.max(cv2.max(red, green), blue))[0]
    low = cv2.mean(cv2.min(cv2.min(red, green), blue))[0]
    return (top - low) / top if top > 0 else 0.0
