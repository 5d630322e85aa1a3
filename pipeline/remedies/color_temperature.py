"""Light of another color temperature than the white balance: a lamp, or shade."""

from __future__ import annotations

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, apply_lookup_table, wrap_transform

STRENGTHS = (-120.0, 120.0)
NEUTRAL_STRENGTH: float | None = 0.0
STRENGTH_FORMAT = "color temperature {strength:+.3g} mired"
CAUSE_WORDS = ("lit too coldly", "lit too warmly")
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = False
IS_STACKABLE = True
MAX_SHIFT_MIRED = 600.0

_CHANNEL_WAVELENGTHS_M = np.array([610e-9, 550e-9, 465e-9])  # m: red, green and blue of sRGB
_SECOND_RADIATION_CONSTANT = 1.438777e-2  # m K: the second radiation constant
_SRGB_GAMMA = 2.2  # of sRGB, about


def _shift_temperature(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    gains = np.exp(
        _SECOND_RADIATION_CONSTANT
        * (1 / _CHANNEL_WAVELENGTHS_M[1] - 1 / _CHANNEL_WAVELENGTHS_M)
        * strength
        * 1e-6
        / _SRGB_GAMMA
    )
    return apply_lookup_table(image, np.arange(256)[:, None] * gains)


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Light the scene by a warmer or a colder black body; green is kept.

    A lamp is warmer, shade is colder. The strength is the shift in mired (10^6 / kelvin) from the
    light that the camera was set to: above 0 is warmer.

    Source: Wien's law.

    Raises:
        ValueError: the shift exceeds `MAX_SHIFT_MIRED`.
    """
    if max(abs(low), abs(high)) > MAX_SHIFT_MIRED:
        raise ValueError(f"a shift of at most {MAX_SHIFT_MIRED:g} mired, got {low:g} to {high:g}")
    return wrap_transform(_shift_temperature, low, high)


def invert_strength(strength: float) -> float | None:
    """Return the opposite shift; clipped values stay lost."""
    return -strength
