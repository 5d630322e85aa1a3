"""Grain."""

from __future__ import annotations

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, dosed

DOSES = (6.0, 12.0, 25.0)
NEUTRAL: float | None = 0.0
FORMAT = "noise of {dose:.3g} grey levels"
WORDS = ("", "noisy")
ORDERED, CAUSE, CHANGES_LABEL = True, True, False


def _grain(photo: Pixels, dose: float, random: np.random.Generator) -> Pixels:
    noisy = photo + dose * random.standard_normal(photo.shape, dtype=np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def noise(low: float, high: float) -> A.BasicTransform:
    """Add grain, each pixel and colour on its own.

    The dose is the standard deviation of the Gaussian, in grey levels of 255.
    """
    return dosed(_grain, max(low, 0.0), high)


def inverse(dose: float) -> float | None:
    """None: noise cannot be subtracted."""
    return None
