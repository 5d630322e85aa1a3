"""A mark, shared by most images of a class, that the model relies on."""

from __future__ import annotations

import albumentations as A

STRENGTHS = ()  # not an intervention: the image stays as it is, and weighs more
NEUTRAL_STRENGTH: float | None = 1.0
STRENGTH_FORMAT = "weighed {strength:.3g} times as much"
CAUSE_WORDS = ("", "")
IS_ORDERED = False
IS_CAUSE = False
MAY_CHANGE_LABEL = False


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Weigh the image more, as it is; the last layer alone learns where nothing else is trained.

    The strength is the weight relative to the other images. With it, images with and without the
    mark have the same total weight.

    Source: Kirichenko, Izmailov and Wilson 2023, "Last layer re-training is sufficient for
    robustness to spurious correlations".
    """
    return A.NoOp(p=1.0, strict=True)


def invert_strength(strength: float) -> float | None:
    """Return None: nothing is done to the image."""
    return None
