"""More or less light."""

from __future__ import annotations

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, dosed, look_up

DOSES = (0.12, 0.25, 0.5, 0.7, 1.5, 2.0, 3.0, 4.0)
NEUTRAL: float | None = 1.0
FORMAT = "exposure x{dose:.3g}"
MULTIPLIES = "exposure"
WORDS = ("too dark", "too bright")
ORDERED, CAUSE, CHANGES_LABEL = True, True, False


def _expose(photo: Pixels, dose: float, _: np.random.Generator) -> Pixels:
    return look_up(photo, np.arange(256) * dose)


def exposure(low: float, high: float) -> A.BasicTransform:
    """Brighten or darken: multiply the brightness of every pixel, up to white.

    The dose is the gain on sRGB values, log-uniform.
    """
    return dosed(_expose, low, high, log=True)


def inverse(dose: float) -> float | None:
    """The reciprocal gain; what was clipped stays lost."""
    return 1 / dose
