"""Size of the subject: how far the contrast of the image is spread."""

from __future__ import annotations

import math

import cv2

from pipeline.attributes import DecodedImage

UNIT = "% of an even spread"
LOW_HIGH_WORDS = ("concentrated on a small part", "busy in all parts")
PERIOD: float | None = None
SOURCE = "pixels"
_EVEN_VARIANCE = 2 / 3  # both coordinates together, each even from -1 to 1


def measure(image: DecodedImage) -> float:
    """Return the radius of gyration of the edge energy, 100 if it is spread evenly.

    No detector is involved: the value is low for a small subject before a plain backdrop, and high
    for a subject that fills the image and for a cluttered scene. NaN without any edge.

    Source: image moments (Hu 1962) of the gradient energy (Tenenbaum 1970).

    >>> import numpy as np
    >>> small, large = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
    >>> small[28:36, 28:36] = 255
    >>> large[8:56, 8:56] = 255
    >>> round(measure(DecodedImage(small, None, 64, 64)))
    24
    >>> round(measure(DecodedImage(large, None, 64, 64)))
    107
    """
    moments = cv2.moments(image.edge_energy)
    total = moments["m00"]
    if total <= 0:
        return float("nan")
    half_side = len(image.edge_energy) / 2
    variance = (moments["mu20"] + moments["mu02"]) / total / half_side**2
    return 100 * math.sqrt(variance / _EVEN_VARIANCE)
