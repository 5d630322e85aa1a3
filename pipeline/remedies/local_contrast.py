"""Local contrast equalization."""

from __future__ import annotations

import albumentations as A

STRENGTHS = (2.0, 4.0)
NEUTRAL_STRENGTH: float | None = None
STRENGTH_FORMAT = "local contrast evened out (CLAHE, limit {strength:.3g})"
CAUSE_WORDS = ("", "evened out in local contrast")
IS_ORDERED = True
IS_CAUSE = False
MAY_CHANGE_LABEL = False


def build_transform(low: float, high: float) -> A.BasicTransform:
    """Even out the contrast part by part (CLAHE), so that shadows show their content.

    The strength is the clip limit, at least 1, on a grid of 4 x 4 tiles (Zuiderveld 1994).
    """
    return A.CLAHE(clip_limit=(low, high), tile_grid_size=(4, 4), p=1.0, strict=True)


def invert_strength(strength: float) -> float | None:
    """Return None: the original contrast is not kept."""
    return None
