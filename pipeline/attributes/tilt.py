"""How far the camera, or the subject, hangs from the level."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import Shot

UNIT = "degrees"
WORDS = ("tilted clockwise", "tilted anticlockwise")
PERIOD: float | None = None
SOURCE = "pixels"
_AT_ONCE = 30_000  # pixels: float32 arrays that fit the cache, and that malloc (below 128 kB) hands out again
_TINY = 1e-30  # changes no sum of squares of whole numbers but nought


def _edges(luma: NDArray[np.uint8], across: int) -> NDArray[np.float32]:
    """The gradient from left to right, or down, of all rows but the outer two."""
    return np.asarray(cv2.Scharr(luma, cv2.CV_32F, across, 1 - across)[1:-1], dtype=np.float32)


def _sums(luma: NDArray[np.uint8]) -> tuple[float, float]:
    """Sine and cosine of four times the angle, by squared strength, of all pixels but those on the rim."""
    x, y = _edges(luma, 1), _edges(luma, 0)
    y[:, 0] = y[:, -1] = 0  # as x is there, since OpenCV mirrors the picture in its rim
    x, y = x.ravel(), y.ravel()
    # (plain + 2i cross) is the squared gradient: its square has four times the angle, total is its length
    cross = x * y
    x *= x
    y *= y
    total = x + y
    plain = np.subtract(x, y, out=x)
    whole = cv2.sumElems(total)[0]  # plain^2 + 4 cross^2 = total^2
    total += _TINY
    share = np.divide(plain, total, out=total)
    return -4 * float(np.dot(cross, share)), 2 * float(np.dot(plain, share)) - whole


def tilt(shot: Shot) -> float:
    """Turn of the dominant right-angled edges from upright, -45 to 45 degrees, anticlockwise positive.

    A quarter of the phase of the mean fourth-order gradient orientation (Bigun and Granlund 1987, with four-fold
    symmetry), each edge by its squared strength. NaN where there is no edge.
    """
    height, width = shot.luma.shape
    rows = max(1, _AT_ONCE // width)
    parts = [_sums(shot.luma[top - 1 : min(top + rows, height - 1) + 1]) for top in range(1, height - 1, rows)]
    sine, cosine = (sum(part[k] for part in parts) for k in (0, 1))
    return float(np.degrees(np.arctan2(sine, cosine))) / 4 if sine or cosine else float("nan")
