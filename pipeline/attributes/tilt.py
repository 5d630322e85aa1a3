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
    across = cv2.Scharr(shot.luma, cv2.CV_32F, 1, 0)[1:-1, 1:-1]
    down = cv2.Scharr(shot.luma, cv2.CV_32F, 0, 1)[1:-1, 1:-1]
    power, cross, plain = across**2 + down**2, -2 * across * down, across**2 - down**2
    strong = power > 0  # (plain + i cross) is the squared gradient, so its square has four times the angle
    sine = float((2 * plain[strong] * cross[strong] / power[strong]).sum())
    cosine = float(((plain[strong] ** 2 - cross[strong] ** 2) / power[strong]).sum())
    return float(np.degrees(np.arctan2(sine, cosine))) / 4 if sine or cosine else float("nan")
