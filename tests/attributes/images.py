"""Windows of real photographs, for the attributes."""

from functools import cache

import numpy as np
from sklearn.datasets import load_sample_images

from pipeline.attributes import DecodedImage


@cache
def load_windows(side: int = 128, count: int = 12) -> tuple[np.ndarray, ...]:
    """Return square windows of two photographs, uint8 [side, side, 3]."""
    rng = np.random.default_rng(0)
    windows = []
    for k in range(count):
        photograph = load_sample_images().images[k % 2]
        top = rng.integers(photograph.shape[0] - side)
        left = rng.integers(photograph.shape[1] - side)
        windows.append(photograph[top : top + side, left : left + side].copy())
    return tuple(windows)


def wrap(pixels: np.ndarray) -> DecodedImage:
    """Return the pixels as an image at its stored size."""
    return DecodedImage(np.ascontiguousarray(pixels), None, pixels.shape[1], pixels.shape[0])
