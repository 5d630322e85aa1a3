"""Moire and screens: a regular pattern over the image."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.attributes import DecodedImage

UNIT = "times, log10"
LOW_HIGH_WORDS = ("free of regular patterns", "overlaid with a regular pattern")
PERIOD: float | None = None
SOURCE = "native"
IS_SCENE = True
_CROP_SIDE = 128  # px of the center: enough for any pattern that repeats
_MIN_SIDE = 32
_LOWEST_FREQUENCY = 0.15  # cycles a pixel: below are objects
_NEIGHBORHOOD = (9, 9)  # frequencies that a peak is compared with


def measure(image: DecodedImage) -> float:
    """Return log10 of the strongest peak of the spectrum over its surroundings; NaN below 32 px.

    Only frequencies above .15 cycles a pixel count. About .5 without a pattern.

    >>> grain = np.random.default_rng(0).integers(60, 120, (64, 64, 1))
    >>> stripes = 30 * np.sin(np.arange(64) * 2.1)[None, :, None]
    >>> plain = np.repeat(grain, 3, 2).astype(np.uint8)
    >>> screen = np.repeat(grain + stripes, 3, 2).astype(np.uint8)
    >>> overlaid = measure(DecodedImage(screen, None, 64, 64))
    >>> overlaid - measure(DecodedImage(plain, None, 64, 64)) > 0.4
    True
    """
    height, width = image.luma.shape
    side = min(height, width, _CROP_SIDE)
    if not image.is_native or side < _MIN_SIDE:
        return float("nan")
    top, left = (height - side) // 2, (width - side) // 2
    crop = image.luma[top : top + side, left : left + side].astype(np.float32)
    window = cv2.createHanningWindow((side, side), cv2.CV_32F)
    spectrum = cv2.dft((crop - crop.mean()) * window, flags=cv2.DFT_COMPLEX_OUTPUT)
    amplitude = cv2.magnitude(spectrum[..., 0], spectrum[..., 1])[:, : side // 2]
    level = cv2.blur(amplitude, _NEIGHBORHOOD) + 1.0  # a flat image has no peak
    vertical, horizontal = np.fft.fftfreq(side), np.arange(side // 2) / side
    is_high = np.hypot(vertical[:, None], horizontal[None]) > _LOWEST_FREQUENCY
    return float(np.log10(np.maximum((amplitude / level)[is_high].max(), 1e-3)))
