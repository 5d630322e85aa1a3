"""Do two causes undo each other? Then nothing that the model says tells them apart (design rule 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.slicing.repair import Tools

Pixels = NDArray[np.uint8]
UNDONE = 0.8  # share of the other's loss that each one's inverse regains, from which two causes are one


def regained(tools: Tools, answers: NDArray[np.intp], spoilt: Pixels, undo: tuple[str, float], seed: int) -> float:
    """Of the answers that a treatment changed, the net share that the inverse of another cause takes back.

    answers: of the model to the photos as they were, int [n]; spoilt: the treated photos [n]; undo: the other cause,
    (remedy, dose). 0 where it has no inverse, where nothing was changed, or where there is no model to ask."""
    dose = plugins.module("remedies", undo[0]).inverse(undo[1])
    if dose is None or tools.guess is None or not len(spoilt):
        return 0.0
    kept = float((tools.guess(spoilt) == answers).mean())
    back = float((tools.guess(tools.treat(undo[0], spoilt, dose, dose, seed)) == answers).mean())
    return (back - kept) / (1 - kept) if kept < 1 else 0.0


def undo_each_other(
    tools: Tools,
    answers: NDArray[np.intp],
    one: tuple[Pixels, tuple[str, float]],
    other: tuple[Pixels, tuple[str, float]],
    seed: int,
) -> bool:
    """Whether the inverse of each of two causes regains `UNDONE` of what the other costs.

    one, other: copies [n] of the same photos, and the cause (remedy, dose) that made them."""
    pairs = ((one[0], other[1]), (other[0], one[1]))
    return all(regained(tools, answers, spoilt, undo, seed) >= UNDONE for spoilt, undo in pairs)
