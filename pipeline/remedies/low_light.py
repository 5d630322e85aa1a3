"""What night does to a photo: less light, and all that comes with it."""

from __future__ import annotations

import math

import albumentations as A
import cv2
import numpy as np

from pipeline.remedies import Pixels, dosed

DOSES = ()  # probe asks with exposure, which can be undone
RENDERS = "exposure"
NEUTRAL: float | None = 1.0
FORMAT = "low light x{dose:.3g}"
WORDS = ("too dark", "")
ORDERED, CAUSE, CHANGES_LABEL = False, False, False

COLOUR = 0.08  # standard deviation of each channel's own gain, as a power of e
FLAT = 0.2  # largest loss of contrast
SOFT = 1 / 64  # largest blur: standard deviation as a share of the side
SHOT = 0.3  # largest variance of the shot noise, as a share of the grey level


def _darken(photo: Pixels, dose: float, random: np.random.Generator) -> Pixels:
    full = min(1.0, -2 * math.log2(dose))  # half a stop less light has all of it
    flat, soft, shot = random.uniform((-FLAT / 2, 0, 0), (FLAT, SOFT * photo.shape[1], SHOT)) * full
    scene = photo + flat * (photo.mean() - photo)
    if soft > 0:
        scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), soft), dtype=np.float64)
    light = np.clip(scene * dose * np.exp(full * random.normal(0, COLOUR, 3)), 0, 255)
    if shot > 0:
        light = random.poisson(light / shot) * shot
    return np.asarray(np.clip(np.rint(light), 0, 255), dtype=np.uint8)


def low_light(low: float, high: float) -> A.BasicTransform:
    """Take the photo at night: less light, a colour cast, shot noise, softer and flatter, in whole grey levels.

    The dose is the gain on sRGB values, log-uniform, at most 1; what comes with it is drawn anew for each photo, in
    full from .7 of the light downwards. Shot noise is Poisson in the light that is left (Foi et al. 2008, eq. 3).
    Raises `ValueError` for a gain above 1.
    """
    if high > 1:
        raise ValueError(f"low light is a gain of at most 1, got {high}")
    return dosed(_darken, low, high, log=True)


def inverse(dose: float) -> float | None:
    """None: noise and lost levels do not come back."""
    return None
