"""How much the photo is grained."""

from __future__ import annotations

import math

import cv2
import numpy as np

from pipeline.attributes import Shot

UNIT = "of 255"
WORDS = ("clean", "noisy")
PERIOD: float | None = None
SOURCE = "pixels"

_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)


def noise(shot: Shot) -> float:
    """Standard deviation of the noise in the luma, in grey levels (Immerkaer 1996); NaN below 3 x 3 px.

    The mask is blind to plane intensity ramps; fine texture still counts as noise.
    """
    if min(shot.luma.shape) < 3:
        return float("nan")
    response = cv2.filter2D(shot.luma, cv2.CV_32F, _MASK)[1:-1, 1:-1]
    mean = cv2.norm(response, cv2.NORM_L1) / response.size
    return math.sqrt(math.pi / 2) / 6 * mean
