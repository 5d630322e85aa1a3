"""Position of the subject: how far the contrast lies from the center."""

from __future__ import annotations

import math

import cv2

from pipeline.attributes import DecodedImage

UNIT = "% of the half diagonal"
LOW_HIGH_WORDS = ("centered", "off-center")
PERIOD: float | None = None
SOURCE = "pixels"


def measure(image: DecodedImage) -> float:
    """Return the distance of the centroid of the edge energy from the center, 0 to 100.

    No detector is involved: whatever has contrast draws the centroid. NaN without any edge.

    Source: image moments (Hu 1962) of the gradient energy (Tenenbaum 1970).

    >>> import numpy as np
    >>> pixels = np.zeros((64, 64, 3), np.uint8)
    >>> pixels[28:36, 28:36] = 255
    >>> round(measure(DecodedImage(pixels, None, 64, 64)))
    0
    >>> round(measure(DecodedImage(np.roll(pixels, (-20, 20), (0, 1)), None, 64, 64)))
    63
    """
    moments = cv2.moments(image.edge_energy)
    total = moments["m00"]
    if total <= 0:
        return float("nan")
    side = len(image.edge_energy)
    x = (2 * moments["m10"] / total + 1) / side - 1
    y = (2 * moments["m01"] / total + 1) / side - 1
    return 100 * math.hypot(x, y) / math.sqrt(2)
