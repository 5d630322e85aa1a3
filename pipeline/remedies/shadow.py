"""A shadow that falls across the subject."""

from __future__ import annotations

import albumentations as A

STRENGTHS = (0.6,)
NEUTRAL_STRENGTH: float | None = 0.0
STRENGTH_FORMAT = "a shadow that takes {strength:.0%} of the light"
CAUSE_WORDS = ("", "partly in shadow")
IS_ORDERED, IS_CAUSE, MAY_CHANGE_LABEL = True, True, False


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Lay a shadow with straight edges over a random part of the image.

    The strength, 0 to 1, is the share of the light that it takes. Raises `ValueError` for others.
    """
    return A.RandomShadow(
        shadow_roi=(0, 0, 1, 1),
        num_shadows_limit=(1, 1),
        shadow_dimension=5,
        shadow_intensity_range=(float(low), float(high)),
        p=1.0,
        strict=True,
    )


def invert_strength(strength: float) -> float | None:
    """None: where the shadow lay is not known."""
    return None
