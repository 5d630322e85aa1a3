"""How colourful the photo is."""

from __future__ import annotations

import cv2

from pipeline.attributes import Shot

UNIT = "of 1"
WORDS = ("pale in colour", "strong in colour")
PERIOD: float | None = None
SOURCE = "pixels"


def saturation(shot: Shot) -> float:
    """Mean spread of red, green and blue over their mean maximum, 0 to 1.

    A ratio of means: the mean of each pixel's HSV saturation would be ruled by noise where the photo is dark.
    """
    red, green, blue = cv2.split(shot.pixels)
    top = cv2.mean(cv2.max(cv2.max(red, green), blue))[0]
    low = cv2.mean(cv2.min(cv2.min(red, green), blue))[0]
    return (top - low) / top if top > 0 else 0.0
