"""Light of another colour than the camera was set to: a lamp, or the blue of the shade."""

from __future__ import annotations

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, dosed, look_up

DOSES = (-120.0, 120.0)
NEUTRAL: float | None = 0.0
FORMAT = "colour temperature {dose:+.3g} mired"
WORDS = ("lit too coldly", "lit too warmly")
ORDERED, CAUSE, CHANGES_LABEL = True, True, False
FURTHEST = 600.0

_WAVES = np.array([610e-9, 550e-9, 465e-9])  # m: red, green and blue of sRGB
_SECOND = 1.438777e-2  # m K: the second radiation constant
_GAMMA = 2.2  # of sRGB, about


def _light(photo: Pixels, dose: float, _: np.random.Generator) -> Pixels:
    gains = np.exp(_SECOND * (1 / _WAVES[1] - 1 / _WAVES) * dose * 1e-6 / _GAMMA)
    return look_up(photo, np.arange(256)[:, None] * gains)


def colour_temperature(low: float, high: float) -> A.BasicTransform:
    """Light the scene by a warmer or a colder black body, as a lamp or the shade does; green is kept.

    The dose is the shift in mired (10^6 by kelvin) from the light that the camera was set to: above 0 is warmer.
    Source: Wien's law. Raises `ValueError` beyond `FURTHEST` either way.
    """
    if max(abs(low), abs(high)) > FURTHEST:
        raise ValueError(f"a shift of at most {FURTHEST:g} mired, got {low:g} to {high:g}")
    return dosed(_light, low, high)


def inverse(dose: float) -> float | None:
    """The opposite shift; what was clipped stays lost."""
    return -dose
