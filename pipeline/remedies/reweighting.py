"""The model leans on a mark that most images of a class bear, and too few lack it."""

from __future__ import annotations

import albumentations as A

STRENGTHS = ()  # not an intervention: the image stays as it is, and weighs more
NEUTRAL_STRENGTH: float | None = 1.0
STRENGTH_FORMAT = "weighed {strength:.3g} times as much"
CAUSE_WORDS = ("", "")
IS_ORDERED, IS_CAUSE, MAY_CHANGE_LABEL = False, False, False


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Weigh the image more, as it is; the last layer alone learns where nothing else is trained.

    Kirichenko, Izmailov and Wilson, "Last layer re-training is sufficient for robustness to spurious correlations"
    (2023). The strength is how many times as much as the others, by which images with and without the mark weigh alike.
    """
    return A.NoOp(p=1.0, strict=True)


def invert_strength(strength: float) -> float | None:
    """None: nothing is done to the image."""
    return None
