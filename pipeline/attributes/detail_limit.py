"""Finest detail: whether the image has the resolution that its size promises."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import DecodedImage

UNIT = "% of the Nyquist frequency"
LOW_HIGH_WORDS = ("coarse (enlarged or blurred)", "finely detailed")
PERIOD: float | None = None
SOURCE = "native"
_MIN_SIDE = 16
_MAX_SIDE = 128  # of the central square: a larger one costs more and tells hardly more
_ENERGY_SHARE = 0.95
_ROUNDING_VARIANCE = 1 / 12  # of whole gray levels


@cache
def _build_window(side: int) -> NDArray[np.float32]:
    return np.asarray(cv2.createHanningWindow((side, side), cv2.CV_32F), dtype=np.float32)


def _find_limit(power: NDArray[np.float32]) -> float:
    """Return the frequency below which 95 % of the gradient energy lies, of 1; NaN without energy.

    Args:
        power: float32 [side], the power spectrum along one axis.
    """
    frequencies = np.arange(len(power) // 2 + 1) * (2 / len(power))
    energy = np.cumsum(power[: len(frequencies)] * frequencies**2)
    if energy[-1] <= 0:
        return float("nan")
    return float(np.interp(_ENERGY_SHARE * energy[-1], energy, frequencies))


def measure(image: DecodedImage) -> float:
    """Return the frequency below which 95 % of the gradient energy lies, 0 to 100.

    The value is that of the coarser axis, in percent of the finest frequency that the pixels can
    hold. It is low for an enlarged or blurred image, whatever its light and contrast. Noise raises
    it. NaN below 16 x 16 px, without any edge, and for an image that was reduced.

    Source: spectral roll-off (Tzanetakis and Cook 2002) of the spectrum times squared frequency,
    which is flat for natural images (Field 1987).

    >>> fine = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    >>> coarse = cv2.resize(fine[:32, :32], (64, 64), interpolation=cv2.INTER_CUBIC)
    >>> measure(DecodedImage(fine, None, 64, 64)) > 90
    True
    >>> measure(DecodedImage(coarse, None, 64, 64)) < 70
    True
    """
    height, width = image.luma.shape
    side = min(height, width, _MAX_SIDE)
    if side < _MIN_SIDE or not image.is_native:
        return float("nan")
    top, left = (height - side) // 2, (width - side) // 2
    part = image.luma[top : top + side, left : left + side].astype(np.float32)
    window = _build_window(side)
    spectrum = cv2.dft((part - cv2.mean(part)[0]) * window, flags=cv2.DFT_COMPLEX_OUTPUT)
    power = cv2.transform(cv2.multiply(spectrum, spectrum), np.ones((1, 2), np.float32))
    power = np.maximum(power - _ROUNDING_VARIANCE * cv2.norm(window, cv2.NORM_L2SQR), 0)
    return 100 * min(_find_limit(power.sum(axis=0)), _find_limit(power.sum(axis=1)))
