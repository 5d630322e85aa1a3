"""Contrast evened out part by part."""

from __future__ import annotations

import albumentations as A

DOSES = (2.0, 4.0)
NEUTRAL: float | None = None
FORMAT = "local contrast evened out (CLAHE, limit {dose:.3g})"
WORDS = ("", "evened out in local contrast")
ORDERED, CAUSE, CHANGES_LABEL = True, False, False


def local_contrast(low: float, high: float) -> A.BasicTransform:
    """Even out the contrast part by part (CLAHE), so that shadows show what is in them.

    The dose is the clip limit (at least 1) on a grid of 4 x 4 tiles (Zuiderveld 1994).
    """
    return A.CLAHE(clip_limit=(low, high), tile_grid_size=(4, 4), p=1.0, strict=True)


def inverse(dose: float) -> float | None:
    """None: the original contrast is not kept."""
    return None
