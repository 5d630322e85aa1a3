"""How visible the 8 x 8 blocks of JPEG compression are."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import Shot

UNIT = "times the step inside a block"
WORDS = ("free of JPEG blocks", "blocky (JPEG)")
PERIOD: float | None = None
SOURCE = "native"


def _steps(luma: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean absolute step from row to row, across and inside the 8 px grid."""
    profile = cv2.reduce(cv2.absdiff(luma[1:], luma[:-1]), 1, cv2.REDUCE_AVG, dtype=cv2.CV_64F)[:, 0]
    across = profile[7::8]
    return float(across.mean()), float((profile.sum() - across.sum()) / (len(profile) - len(across)))


def blockiness(shot: Shot) -> float:
    """Mean luma step across the borders of the 8 px grid over the mean step inside blocks; 1 is no blocks.

    After Wang, Bovik and Evans (2000), in the pixel domain. NaN below 16 x 16 px, and where the photo was
    reduced to be measured, which moves the grid.
    """
    if not shot.native or min(shot.luma.shape) < 16:
        return float("nan")
    (across_y, inside_y), (across_x, inside_x) = _steps(shot.luma), _steps(np.ascontiguousarray(shot.luma.T))
    return (across_y + across_x + 0.1) / (inside_y + inside_x + 0.1)
