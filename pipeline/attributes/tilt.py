"""Tilt of the camera or of the subject."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import DecodedImage

UNIT = "degrees"
LOW_HIGH_WORDS = ("tilted clockwise", "tilted anticlockwise")
PERIOD: float | None = None
SOURCE = "pixels"
# Pixels: float32 arrays that fit the cache, and that malloc (below 128 kB) hands out again.
_PIXELS_PER_CHUNK = 30_000
_DIVISION_EPSILON = 1e-30  # changes no sum of squares of whole numbers but nought


def _compute_gradient(luma: NDArray[np.uint8], dx: int) -> NDArray[np.float32]:
    """Return the horizontal (dx = 1) or vertical (dx = 0) gradient without the outer two rows."""
    return np.asarray(cv2.Scharr(luma, cv2.CV_32F, dx, 1 - dx)[1:-1], dtype=np.float32)


def _sum_orientations(luma: NDArray[np.uint8]) -> tuple[float, float]:
    """Return sine and cosine of four times the edge angle, summed by squared gradient.

    Pixels on the rim do not count.
    """
    x, y = _compute_gradient(luma, 1), _compute_gradient(luma, 0)
    y[:, 0] = y[:, -1] = 0  # as x is there, since OpenCV mirrors the image at its border
    x, y = x.ravel(), y.ravel()
    # (plain + 2i cross) is the squared gradient: its square has four times the angle, total is
    # its length
    cross = x * y
    x *= x
    y *= y
    total = x + y
    plain = np.subtract(x, y, out=x)
    power = cv2.sumElems(total)[0]  # plain^2 + 4 cross^2 = total^2
    total += _DIVISION_EPSILON
    share = np.divide(plain, total, out=total)
    return -4 * float(np.dot(cross, share)), 2 * float(np.dot(plain, share)) - power


def measure(image: DecodedImage) -> float:
    """Return the rotation of the dominant right-angled edges, -45 to 45 degrees.

    Anticlockwise is positive. The result is a quarter of the phase of the mean fourth-order
    gradient orientation, weighted by the squared gradient. NaN without any edge.

    Source: Bigun and Granlund 1987, with four-fold symmetry.

    >>> upright = np.zeros((64, 64, 3), np.uint8)
    >>> upright[16:48, 16:48] = 255
    >>> abs(round(measure(DecodedImage(upright, None, 64, 64)), 3))
    0.0
    >>> turn = cv2.getRotationMatrix2D((32, 32), 10, 1)
    >>> turned = cv2.warpAffine(upright, turn, (64, 64))
    >>> round(measure(DecodedImage(turned, None, 64, 64)))
    10
    """
    height, width = image.luma.shape
    rows = max(1, _PIXELS_PER_CHUNK // width)
    parts = [
        _sum_orientations(image.luma[top - 1 : min(top + rows, height - 1) + 1])
        for top in range(1, height - 1, rows)
    ]
    sine = sum(part[0] for part in parts)
    cosine = sum(part[1] for part in parts)
    return float(np.degrees(np.arctan2(sine, cosine))) / 4 if sine or cosine else float("nan")
