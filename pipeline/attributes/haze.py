"""Haze and fog: nothing in the image is dark or colorful."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.attributes import DecodedImage

UNIT = "of 255"
LOW_HIGH_WORDS = ("clear", "hazy")
PERIOD: float | None = None
SOURCE = "pixels"
_WORKING_SIDE = 128  # longer side in pixels: haze has no detail
_PATCH_SHARE = 1 / 16  # side of a patch; 15 of 400 px in the paper


def measure(image: DecodedImage) -> float:
    """Return the mean of the dark channel, 0 to 255.

    It is the lowest value of any color in each patch: near 0 outdoors in clear air.

    Source: He, Sun and Tang 2009.

    >>> clear = np.random.default_rng(0).integers(0, 200, (64, 64, 3)).astype(np.uint8)
    >>> foggy = (clear * 0.3 + 140).astype(np.uint8)
    >>> measure(DecodedImage(clear, None, 64, 64)) < 40
    True
    >>> measure(DecodedImage(foggy, None, 64, 64)) > 130
    True
    """
    red, green, blue = cv2.split(image.shrink_pixels(_WORKING_SIDE))
    darkest = cv2.min(cv2.min(red, green), blue)
    side = max(1, round(_PATCH_SHARE * max(darkest.shape[:2])))
    return float(cv2.mean(cv2.erode(darkest, np.ones((side, side), np.uint8)))[0])
