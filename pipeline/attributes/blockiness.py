"""Visibility of the 8 x 8 blocks of JPEG compression."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import DecodedImage

UNIT = "times the step inside a block"
LOW_HIGH_WORDS = ("free of JPEG blocks", "blocky (JPEG)")
PERIOD: float | None = None
SOURCE = "native"


def _measure_steps(luma: NDArray[np.uint8]) -> tuple[float, float]:
    """Return the mean absolute step between rows, across the 8 px grid and inside."""
    steps, width = len(luma) - 1, luma.shape[1]
    total = cv2.norm(luma[1:], luma[:-1], cv2.NORM_L1)
    count = steps // 8
    across = cv2.norm(luma[8::8], luma[7:-1:8], cv2.NORM_L1)
    return across / (count * width), (total - across) / ((steps - count) * width)


def measure(image: DecodedImage) -> float:
    """Return the mean luma step across block borders over the mean step inside blocks.

    1 means no visible blocks. NaN below 16 x 16 px, and for a resized image, whose grid has moved.

    Source: after Wang, Bovik and Evans 2000, in the pixel domain.

    >>> import numpy as np
    >>> flat = np.full((32, 32, 3), 80, np.uint8)
    >>> blocky = flat.copy()
    >>> blocky[:, 16:] = 120
    >>> measure(DecodedImage(flat, None, 32, 32))
    1.0
    >>> measure(DecodedImage(blocky, None, 32, 32)) > 10
    True
    """
    if not image.is_native or min(image.luma.shape) < 16:
        return float("nan")
    across_y, inside_y = _measure_steps(image.luma)
    across_x, inside_x = _measure_steps(np.asarray(cv2.transpose(image.luma), dtype=np.uint8))
    return (across_y + across_x + 0.1) / (inside_y + inside_x + 0.1)
