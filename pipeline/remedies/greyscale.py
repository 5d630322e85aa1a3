"""No colour."""

from __future__ import annotations

import albumentations as A

DOSES = (1.0,)
NEUTRAL: float | None = None
FORMAT = "turned grey"
WORDS = ("", "without colour")
ORDERED, CAUSE, CHANGES_LABEL = False, False, True


def greyscale(low: float, high: float) -> A.BasicTransform:
    """Take the colour away (Rec. 601 luma in all three channels)."""
    return A.ToGray(num_output_channels=3, method="weighted_average", p=1.0, strict=True)


def inverse(dose: float) -> float | None:
    """None: the colour is lost."""
    return None
