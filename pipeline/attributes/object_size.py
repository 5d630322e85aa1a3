"""Size of what stands out."""

from __future__ import annotations

import numpy as np

from pipeline.attributes import DecodedImage

UNIT = "of 1"
LOW_HIGH_WORDS = ("with a small object", "with a large object, or none")
PERIOD: float | None = None
SOURCE = "pixels"
IS_SCENE = True
_MIN_EXCESS = 0.01  # share of the saliency: of a flat image only rounding stands out


def measure(image: DecodedImage) -> float:
    """Return the smallest share of the image that holds half of the saliency above its mean.

    NaN for a flat image.

    >>> small = np.random.default_rng(0).integers(80, 100, (64, 64, 3)).astype(np.uint8)
    >>> large = small.copy()
    >>> small[28:36, 28:36] = large[12:52, 12:52] = 220
    >>> measure(DecodedImage(small, None, 64, 64)) < measure(DecodedImage(large, None, 64, 64))
    True
    """
    excess = np.maximum(image.saliency - image.saliency.mean(), 0)
    held = np.cumsum(np.sort(excess, axis=None)[::-1])
    if held[-1] < _MIN_EXCESS:
        return float("nan")
    return float(np.searchsorted(held, held[-1] / 2) + 1) / held.size
