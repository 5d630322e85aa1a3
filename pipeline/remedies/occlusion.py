"""An object in front of the subject."""

from __future__ import annotations

import albumentations as A

STRENGTHS = (0.3, 0.5)
NEUTRAL_STRENGTH: float | None = 0.0
STRENGTH_FORMAT = "a patch of {strength:.0%} of each side covered"
CAUSE_WORDS = ("", "partly covered")
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = False


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Cover a patch at a random place with a random plain color.

    The strength is the patch's share of the image's height and of its width, 0 to 1.

    Raises:
        ValueError: the strength is 1 or more.
    """
    if not 0 <= low <= high < 1:
        raise ValueError(f"a patch covers 0 to 1 of each side, got {low:g} to {high:g}")
    sides = (float(low), float(high))
    return A.CoarseDropout(
        num_holes_range=(1, 1),
        hole_height_range=sides,
        hole_width_range=sides,
        fill="random_uniform",
        p=1.0,
        strict=True,
    )


def invert_strength(strength: float) -> float | None:
    """Return None: covered parts cannot be restored."""
    return None
