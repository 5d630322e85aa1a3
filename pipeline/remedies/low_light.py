"""Low light with its side effects: color cast, noise, blur and low contrast."""

from __future__ import annotations

import math

import albumentations as A
import cv2
import numpy as np

from pipeline.remedies import Pixels, wrap_transform

STRENGTHS = ()  # the probe tries exposure in its place, which can be undone
RENDERED_REMEDY = "exposure"
NEUTRAL_STRENGTH: float | None = 1.0
STRENGTH_FORMAT = "low light at {strength:.1%} of the brightness"
CAUSE_WORDS = ("too dark", "")
IS_ORDERED = False
IS_CAUSE = False
MAY_CHANGE_LABEL = False

CHANNEL_GAIN_STD = 0.08  # standard deviation of each channel's own gain, as a power of e
MAX_CONTRAST_LOSS = 0.2  # largest loss of contrast
MAX_BLUR_SHARE = 1 / 64  # largest blur: standard deviation as a share of the side
MAX_SHOT_NOISE_SHARE = 0.3  # largest variance of the shot noise, as a share of the gray level


def _darken_image(image: Pixels, strength: float, generator: np.random.Generator) -> Pixels:
    full = min(1.0, -2 * math.log2(strength))  # half a stop less light has all of it
    flat, soft, shot_noise = (
        generator.uniform(
            (-MAX_CONTRAST_LOSS / 2, 0, 0),
            (MAX_CONTRAST_LOSS, MAX_BLUR_SHARE * image.shape[1], MAX_SHOT_NOISE_SHARE),
        )
        * full
    )
    scene = image + flat * (image.mean() - image)
    if soft > 0:
        scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), soft), dtype=np.float64)
    light = np.clip(
        scene * strength * np.exp(full * generator.normal(0, CHANNEL_GAIN_STD, 3)), 0, 255
    )
    if shot_noise > 0:
        light = generator.poisson(light / shot_noise) * shot_noise
    return np.asarray(np.clip(np.rint(light), 0, 255), dtype=np.uint8)


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Take the image at night: less light, a color cast, shot noise, softer and flatter.

    The strength is the gain on sRGB values, log-uniform, at most 1. The side effects are drawn for
    each image; they grow from none at 1 to full size at .7 and below. Shot noise is
    Poisson in the remaining light (Foi et al. 2008, eq. 3).

    Raises:
        ValueError: the gain exceeds 1.
    """
    if high > 1:
        raise ValueError(f"low light is a gain of at most 1, got {high}")
    return wrap_transform(_darken_image, low, high, is_log_uniform=True)


def invert_strength(strength: float) -> float | None:
    """Return None: noise and lost levels do not come back."""
    return None
