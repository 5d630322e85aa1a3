"""Haze: a pale veil, after which nothing in the image is dark."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.attributes import DecodedImage

UNIT = "of the brightest light"
LOW_HIGH_WORDS = ("clear", "hazy")
PERIOD: float | None = None
SOURCE = "pixels"
_PATCHES_PER_SIDE = 16
_LIGHT_SHARE = 0.001  # of the pixels, whose luma stands for the light of the haze itself


def measure(image: DecodedImage) -> float:
    """Return the mean dark channel over the luma of the brightest 0.1 % of pixels, 0 to 1.

    The dark channel is the least of red, green and blue near a pixel. Less light changes both
    alike. Fog, a fogged lens and stray light raise the value, and so do pale or gray subjects.

    Source: He, Sun and Tang 2009, with the brightest luma as the light of the haze.

    >>> import numpy as np
    >>> stripes = np.zeros((32, 32, 3), np.uint8)
    >>> stripes[:, ::2] = 200
    >>> measure(DecodedImage(stripes, None, 32, 32))
    0.0
    >>> round(measure(DecodedImage(stripes // 2 + 100, None, 32, 32)), 2)
    0.5
    """
    red, green, blue = cv2.split(image.pixels)
    darkest = cv2.min(cv2.min(red, green), blue)
    reach = round(min(image.luma.shape) / _PATCHES_PER_SIDE) // 2
    patch = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * reach + 1, 2 * reach + 1))
    dark_level = cv2.mean(cv2.erode(darkest, patch))[0]
    counts = np.bincount(image.luma.ravel(), minlength=256)
    brighter = np.cumsum(counts[::-1])  # pixels at 255, from 254, ...
    light = 255 - int(np.searchsorted(brighter, max(1.0, _LIGHT_SHARE * image.luma.size)))
    return min(1.0, dark_level / light) if light > 0 else 0.0
