"""A small image-like picture: smooth shapes, edges, texture and color, seeded."""

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def scene() -> np.ndarray:
    """Return uint8 [96, 128, 3] RGB with values 60 to 180, far enough from clipping."""
    random = np.random.default_rng(5)
    base = cv2.resize(
        random.uniform(80, 150, (6, 8, 3)).astype(np.float32),
        (128, 96),
        interpolation=cv2.INTER_CUBIC,
    )
    for x in range(11, 128, 25):
        cv2.rectangle(base, (x, 21), (x + 10, 70), tuple(random.uniform(70, 170, 3)), -1)
    base += random.normal(0, 1.0, base.shape)
    return np.clip(np.rint(base), 60, 180).astype(np.uint8)
