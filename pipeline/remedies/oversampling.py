"""Too few such photos to learn from."""

from __future__ import annotations

import albumentations as A

DOSES = ()  # not an intervention: the photo stays as it is, and is shown more often
NEUTRAL: float | None = 1.0
FORMAT = "shown {dose:.3g} times as often"
WORDS = ("", "")
ORDERED, CAUSE, CHANGES_LABEL = False, False, False


def oversampling(low: float, high: float) -> A.BasicTransform:
    """Show the photo more often, as it is.

    The dose is how many times as often as the others.
    """
    return A.NoOp(p=1.0, strict=True)


def inverse(dose: float) -> float | None:
    """None: nothing is done to the photo."""
    return None
