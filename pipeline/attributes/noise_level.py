"""How much the image is grained."""

from __future__ import annotations

import math

import cv2
import numpy as np

from pipeline.attributes import DecodedImage

UNIT = "of 255"
LOW_HIGH_WORDS = ("clean", "noisy")
PERIOD: float | None = None
SOURCE = "pixels"

_NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)


def measure(image: DecodedImage) -> float:
    """Standard deviation of the noise in the luma, in gray levels (Immerkaer 1996); NaN below 3 x 3 px.

    The mask is blind to plane intensity ramps; fine texture still counts as noise.
    """
    if min(image.luma.shape) < 3:
        return float("nan")
    response = cv2.filter2D(image.luma, cv2.CV_32F, _NOISE_KERNEL)[1:-1, 1:-1]
    mean = cv2.norm(response, cv2.NORM_L1) / response.size
    return math.sqrt(math.pi / 2) / 6 * mean
