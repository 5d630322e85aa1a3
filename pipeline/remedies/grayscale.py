"""Loss of color."""

from __future__ import annotations

import albumentations as A

STRENGTHS = (1.0,)
NEUTRAL_STRENGTH: float | None = None
STRENGTH_FORMAT = "turned gray"
CAUSE_WORDS = ("", "without color")
IS_ORDERED = False
IS_CAUSE = False
MAY_CHANGE_LABEL = True
IS_STACKABLE = True


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Take the color away (Rec. 601 luma in all three channels)."""
    return A.ToGray(num_output_channels=3, method="weighted_average", p=1.0, strict=True)


def invert_strength(strength: float) -> float | None:
    """Return None: the color is lost."""
    return None
