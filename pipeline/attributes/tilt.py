"""How far the camera, or the subject, hangs from the level."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.attributes import Shot

UNIT = "degrees"
WORDS = ("tilted clockwise", "tilted anticlockwise")
PERIOD: float | None = None
SOURCE = "pixels"


def tilt(shot: Shot) -> float:
    """Turn of the dominant right-angled edges from upright, -45 to 45 degrees, anticlockwise positive.

    A quarter of the phase of the mean fourth-order gradient orientation (Bigun and Granlund 1987, with four-fold
    symmetry), each edge by its squared strength. NaN where there is no edge.
    """
    across, down = (cv2.Scharr(shot.luma, cv2.CV_32F, *way)[1:-1, 1:-1].ravel() for way in ((1, 0), (0, 1)))
    # (plain + 2i cross) is the squared gradient: its square has four times the angle
    cross, across2, down2 = across * down, across * across, down * down
    plain, share = across2 - down2, 1 / np.maximum(across2 + down2, 1)  # whole numbers: where the sum is 0, all is
    sine = -4 * float(np.dot(plain * cross, share))
    cosine = float(np.dot(plain * plain, share)) - 4 * float(np.dot(cross * cross, share))
    return float(np.degrees(np.arctan2(sine, cosine))) / 4 if sine or cosine else float("nan")
