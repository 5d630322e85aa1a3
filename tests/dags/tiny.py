"""A data set and a config so small that the whole loop takes a minute."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

CONFIG = """
name: gate
ingest: {data: images, side: 32}
train: {backbone: test_resnet, weights: none, epochs: 1, batch: 16}
retrain: {epochs: 1, batch: 16, seeds: 1, generic: false}
"""


def images(root: Path, count: int = 24) -> None:
    """Draw so many images of each of two classes, in a folder of each."""
    generator = np.random.default_rng(0)
    for label, channel in (("red", 2), ("blue", 0)):
        (root / label).mkdir(parents=True)
        for i in range(count):
            image = generator.integers(40, 90, (32, 32, 3))
            image[8:24, 8:24, channel] += 120
            cv2.imwrite(str(root / label / f"{i:03}.png"), image.astype(np.uint8))
