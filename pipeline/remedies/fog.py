"""Fog, haze or a fogged lens."""

from __future__ import annotations

import albumentations as A
import numpy as np

from pipeline.remedies import Pixels, apply_lookup_table, wrap_transform

STRENGTHS = (-1.0, 0.5)
NEUTRAL_STRENGTH: float | None = 0.0
STRENGTH_FORMAT = "fog of {strength:.3g}"
CAUSE_WORDS = ("", "foggy")  # below 0 it lifts a fog, and befalls no image
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = False
IS_STACKABLE = True

AIRLIGHT_LEVEL = 215.0  # gray level of the fog itself


def _blend_airlight(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    return apply_lookup_table(image, np.arange(256) * (1 - strength) + AIRLIGHT_LEVEL * strength)


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Draw a pale veil over the image, or lift one.

    The strength is the share of the light that comes from the fog, below 1. A strength below 0
    removes a veil.

    Source: Koschmieder's law at one distance (Narasimhan and Nayar 2002, eq. 6).

    Raises:
        ValueError: the strength is 1 or more.
    """
    if high >= 1:
        raise ValueError(f"fog is a share below 1, got {high:g}")
    return wrap_transform(_blend_airlight, low, high)


def invert_strength(strength: float) -> float | None:
    """Return the strength that lifts the fog; rounding errors stay.

    >>> invert_strength(0.5)
    -1.0
    """
    return -strength / (1 - strength)
