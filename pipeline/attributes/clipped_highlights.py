"""Glare: parts that are too bright for the camera."""

from __future__ import annotations

import numpy as np

from pipeline.attributes import DecodedImage

UNIT = "of 1"
LOW_HIGH_WORDS = ("free of glare", "glaring")
PERIOD: float | None = None
SOURCE = "pixels"
_CLIPPED_LEVEL = 250  # JPEG moves clipped pixels a few levels down


def measure(image: DecodedImage) -> float:
    """Return the share of pixels whose luma is clipped, 0 to 1.

    >>> lamp = np.full((4, 4, 3), 90, np.uint8)
    >>> lamp[0] = 255
    >>> measure(DecodedImage(lamp, None, 4, 4))
    0.25
    """
    return int(np.count_nonzero(image.luma >= _CLIPPED_LEVEL)) / image.luma.size
