"""A data set and a config so small that the whole loop takes a minute."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def build_config(data: Path) -> str:
    """Return the YAML of a config for a data set."""
    return f"""
name: gate
ingest: {{data: {data}, side: 32}}
train: {{recipe: bare, backbone: test_resnet, weights: none, epochs: 1, batch_size: 16}}
retrain: {{epochs: 1, batch_size: 16, seeds: 1, generic: false}}
"""


def draw_images(root: Path, class_size: int = 24) -> None:
    """Draw the images of two classes, in one folder each."""
    rng = np.random.default_rng(0)
    for label, channel in (("red", 2), ("blue", 0)):
        (root / label).mkdir(parents=True)
        for number in range(class_size):
            pixels = rng.integers(40, 90, (32, 32, 3))
            pixels[8:24, 8:24, channel] += 120
            cv2.imwrite(str(root / label / f"{number:03}.png"), pixels.astype(np.uint8))
