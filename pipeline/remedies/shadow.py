"""A shadow across the subject."""

from __future__ import annotations

import albumentations as A

STRENGTHS = (0.6,)
NEUTRAL_STRENGTH: float | None = 0.0
STRENGTH_FORMAT = "a shadow that takes {strength:.0%} of the light"
CAUSE_WORDS = ("", "partly in shadow")
IS_ORDERED = True
IS_CAUSE = True
MAY_CHANGE_LABEL = False


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Lay a shadow with straight edges over a random part of the image.

    The strength is the share of the light that the shadow takes, 0 to 1.

    Raises:
        ValueError: the strength is outside 0 to 1.
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
    """Return None: the position of the shadow is unknown."""
    return None
