"""Flat areas: borders, covers and whatever else hides the scene."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.attributes import DecodedImage

UNIT = "of 1"
LOW_HIGH_WORDS = ("textured everywhere", "covered in part by a flat area")
PERIOD: float | None = None
SOURCE = "pixels"
IS_SCENE = True
_WORKING_SIDE = 128  # longer side in pixels
_FLAT_STEP = 3  # gray levels within 3 x 3 pixels; compression alters a few
_NEIGHBORHOOD = np.ones((3, 3), np.uint8)


def measure(image: DecodedImage) -> float:
    """Return the share of the image in its largest connected flat area, 0 to 1.

    >>> open_view = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    >>> covered = open_view.copy()
    >>> covered[:, :32] = 90
    >>> measure(DecodedImage(open_view, None, 64, 64)) < 0.01
    True
    >>> round(measure(DecodedImage(covered, None, 64, 64)), 1)
    0.5
    """
    luma = image.shrink_luma(_WORKING_SIDE)
    step = cv2.morphologyEx(luma, cv2.MORPH_GRADIENT, _NEIGHBORHOOD)
    is_flat = (step <= _FLAT_STEP).astype(np.uint8)
    count, _, regions, _ = cv2.connectedComponentsWithStats(is_flat, connectivity=4)
    areas = regions[1:, cv2.CC_STAT_AREA]  # the first one is what is not flat
    return float(areas.max()) / luma.size if count > 1 else 0.0
