"""Saliency without a detector: what the spectrum of an image does not predict."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MAP_SIDE = 64
"""Side of the map in pixels, as in the paper: finer detail is texture, no object."""
SMOOTHING_PX = 3.0
MIN_MAGNITUDE = 1e-9  # keeps the phase of an empty frequency defined


def compute_saliency(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the saliency of a gray image, float32 [64, 64] that adds up to 1.

    The logarithm of the amplitude spectrum, less its local mean, is transformed back with the
    image's own phase.

    Source: Hou and Zhang 2007.

    Args:
        gray: uint8 [H, W].

    >>> spot = np.full((64, 64), 60, np.uint8)
    >>> spot[40:48, 8:16] = 220
    >>> y, x = np.unravel_index(compute_saliency(spot).argmax(), (64, 64))
    >>> bool(38 <= y <= 50 and 6 <= x <= 18)
    True
    """
    small = cv2.resize(gray, (MAP_SIDE, MAP_SIDE), interpolation=cv2.INTER_AREA)
    spectrum = cv2.dft(small.astype(np.float32), flags=cv2.DFT_COMPLEX_OUTPUT)
    magnitude = cv2.magnitude(spectrum[..., 0], spectrum[..., 1])
    amplitude = cv2.log(magnitude + 1)
    residual = cv2.exp(amplitude - cv2.blur(amplitude, (3, 3)))
    whitened = spectrum * (residual / np.maximum(magnitude, MIN_MAGNITUDE))[..., None]
    restored = cv2.dft(whitened, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)
    power = cv2.multiply(restored[..., 0], restored[..., 0])
    smooth = cv2.GaussianBlur(power, (0, 0), SMOOTHING_PX)
    total = float(smooth.sum())
    if not total > 0:  # black: no place stands out
        return np.full((MAP_SIDE, MAP_SIDE), 1 / MAP_SIDE**2, np.float32)
    return np.asarray(smooth / total, dtype=np.float32)
