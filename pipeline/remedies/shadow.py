"""A shadow that falls across the subject."""

from __future__ import annotations

import albumentations as A

DOSES = (0.6,)
NEUTRAL: float | None = 0.0
FORMAT = "a shadow that takes {dose:.0%} of the light"
WORDS = ("", "partly in shadow")
ORDERED, CAUSE, CHANGES_LABEL = True, True, False


def shadow(low: float, high: float) -> A.BasicTransform:
    """Lay a shadow with straight edges over a random part of the photo.

    The dose, 0 to 1, is the share of the light that it takes. Raises `ValueError` for others.
    """
    return A.RandomShadow(
        shadow_roi=(0, 0, 1, 1),
        num_shadows_limit=(1, 1),
        shadow_dimension=5,
        shadow_intensity_range=(float(low), float(high)),
        p=1.0,
        strict=True,
    )


def inverse(dose: float) -> float | None:
    """None: where the shadow lay is not known."""
    return None
