"""Image-like pictures: smooth shapes, edges, texture and color, seeded."""

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """uint8 [6, 64, 64, 3] RGB, values 40 to 120 (x2 clips nothing), read-only."""
    random = np.random.default_rng(3)
    made = []
    for _ in range(6):
        coarse = random.uniform(50, 110, (5, 5, 3)).astype(np.float32)
        base = cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)
        cv2.circle(
            base,
            tuple(random.integers(20, 44, 2).tolist()),
            12,
            tuple(random.uniform(45, 115, 3)),
            -1,
        )
        made.append(
            np.clip(np.rint(base + random.normal(0, 1, base.shape)), 40, 120).astype(np.uint8)
        )
    stack = np.stack(made)
    stack.flags.writeable = False
    return stack
