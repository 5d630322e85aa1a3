"""Fog, haze or a fogged lens."""

from __future__ import annotations

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, dosed, look_up

DOSES = (-1.0, 0.5)
NEUTRAL: float | None = 0.0
FORMAT = "fog of {dose:.3g}"
WORDS = ("", "foggy")  # below 0 it lifts a fog, and befalls no photo
ORDERED, CAUSE, CHANGES_LABEL = True, True, False

AIRLIGHT = 215.0  # grey level of the fog itself


def _veil(photo: Pixels, dose: float, _: np.random.Generator) -> Pixels:
    return look_up(photo, np.arange(256) * (1 - dose) + AIRLIGHT * dose)


def fog(low: float, high: float) -> A.BasicTransform:
    """Draw a pale veil over the photo, or lift one.

    The dose, below 1, is the share of the light that comes from the fog; below 0 it takes that veil away again. Source:
    Koschmieder's law at one distance (Narasimhan and Nayar 2002, eq. 6). Raises `ValueError` for 1 and more.
    """
    if high >= 1:
        raise ValueError(f"fog is a share below 1, got {high:g}")
    return dosed(_veil, low, high)


def inverse(dose: float) -> float | None:
    """The dose that lifts that fog; what was rounded away stays lost."""
    return -dose / (1 - dose)
