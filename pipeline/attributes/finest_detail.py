"""Detail at the finest scale: an image that was enlarged has none."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import DecodedImage

UNIT = "log10"
LOW_HIGH_WORDS = ("enlarged from fewer pixels", "detailed to the pixel")
PERIOD: float | None = None
SOURCE = "native"
_CROP_SIDE = 384  # px of the center: the whole image was enlarged alike
_QUANTIZATION_POWER = 1 / 12  # variance of rounding to whole gray levels


def _split_scale(luma: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
    """Return the power of the finest octave, and the image without it at half the size."""
    half = cv2.pyrDown(luma)
    rest = luma - cv2.pyrUp(half, dstsize=(luma.shape[1], luma.shape[0]))
    return cv2.norm(rest, cv2.NORM_L2SQR) / rest.size, np.asarray(half, dtype=np.float32)


def measure(image: DecodedImage) -> float:
    """Return log10 of the power in the finest octave over that in the next; NaN below 16 px.

    Natural images lose about .6 an octave. Blur lowers the value as enlarging does.

    Source: Burt and Adelson 1983, for the octaves.

    >>> grain = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    >>> large = cv2.resize(grain, (96, 96), interpolation=cv2.INTER_CUBIC)
    >>> fine = measure(DecodedImage(grain, None, 32, 32))
    >>> fine - measure(DecodedImage(large, None, 96, 96)) > 1
    True
    """
    if not image.is_native or min(image.luma.shape) < 16:
        return float("nan")
    height, width = image.luma.shape
    top, left = max(0, (height - _CROP_SIDE) // 2), max(0, (width - _CROP_SIDE) // 2)
    crop = image.luma[top : top + _CROP_SIDE, left : left + _CROP_SIDE]
    finest, half = _split_scale(crop.astype(np.float32))
    coarser, _ = _split_scale(half)
    return math.log10((finest + _QUANTIZATION_POWER) / (coarser + _QUANTIZATION_POWER))
