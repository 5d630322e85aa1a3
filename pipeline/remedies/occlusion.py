"""Something in front of the subject."""

from __future__ import annotations

import albumentations as A

DOSES = (0.3, 0.5)
NEUTRAL: float | None = 0.0
FORMAT = "a patch of {dose:.0%} of each side covered"
WORDS = ("", "partly covered")
ORDERED, CAUSE, CHANGES_LABEL = True, True, False


def occlusion(low: float, high: float) -> A.BasicTransform:
    """Cover a patch at a random place with a random plain colour.

    The dose, 0 to 1, is the patch's share of the photo's height and of its width. Raises `ValueError` for 1 and more.
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


def inverse(dose: float) -> float | None:
    """None: what was covered is not seen."""
    return None
