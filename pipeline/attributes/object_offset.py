"""Position of what stands out."""

from __future__ import annotations

import math

import numpy as np

from pipeline.attributes import DecodedImage

UNIT = "of the half diagonal"
LOW_HIGH_WORDS = ("with a centered object", "with an object off the center")
PERIOD: float | None = None
SOURCE = "pixels"
IS_SCENE = True


def measure(image: DecodedImage) -> float:
    """Return the distance of the saliency's centroid from the center, 0 to 1.

    >>> spot = np.full((64, 64, 3), 60, np.uint8)
    >>> spot[28:36, 28:36] = 220
    >>> aside = np.roll(spot, 24, axis=1)
    >>> measure(DecodedImage(spot, None, 64, 64)) < 0.05
    True
    >>> measure(DecodedImage(aside, None, 64, 64)) > 0.2
    True
    """
    side = image.saliency.shape[0]
    positions = (np.arange(side) + 0.5) * 2 / side - 1
    y = float(image.saliency.sum(1) @ positions)
    x = float(image.saliency.sum(0) @ positions)
    return math.hypot(x, y) / math.sqrt(2)
