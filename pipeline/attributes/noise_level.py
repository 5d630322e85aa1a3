"""Noise."""

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
    """Return the standard deviation of the noise in the luma, in gray levels; NaN below 3 x 3 px.

    Plane ramps of intensity do not count. Fine texture counts as noise.

    Source: Immerkaer 1996.

    >>> pixels = np.full((64, 64, 3), 120.0) + np.random.default_rng(0).normal(0, 9, (64, 64, 1))
    >>> round(measure(DecodedImage(pixels.astype(np.uint8), None, 64, 64)))
    9
    """
    if min(image.luma.shape) < 3:
        return float("nan")
    response = cv2.filter2D(image.luma, cv2.CV_32F, _NOISE_KERNEL)[1:-1, 1:-1]
    mean = cv2.norm(response, cv2.NORM_L1) / response.size
    return math.sqrt(math.pi / 2) / 6 * mean
