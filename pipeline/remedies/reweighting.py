"""The model leans on a mark that most photos of a class bear, and too few lack it."""

from __future__ import annotations

import albumentations as A

DOSES = ()  # not an intervention: the photo stays as it is, and weighs more
NEUTRAL: float | None = 1.0
FORMAT = "weighed {dose:.3g} times as much"
WORDS = ("", "")
ORDERED, CAUSE, CHANGES_LABEL = False, False, False


def reweighting(low: float, high: float) -> A.BasicTransform:
    """Weigh the photo more, as it is; the last layer alone learns where nothing else is trained.

    Kirichenko, Izmailov and Wilson, "Last layer re-training is sufficient for robustness to spurious correlations"
    (2023). The dose is how many times as much as the others, by which photos with and without the mark weigh alike.
    """
    return A.NoOp(p=1.0, strict=True)


def inverse(dose: float) -> float | None:
    """None: nothing is done to the photo."""
    return None
