"""Which remedies cannot be told from a planted cause, computed on clean images.

The equivalence sets of the naming.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.attributes import measure_images
from pipeline.remedies import apply_remedy
from pipeline.slices.causes.strength_grid import build_strength_grid, list_possible_strengths
from pipeline.slices.causes.treatment_similarity import compute_cliffs_delta
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.two_sample_test import compute_two_sample_auc
from tests.bench.slices.causes import CAUSES
from tests.bench.slices.clean import Clean

PHOTOS = 150
REGAINED = (
    0.8  # share of the other's loss that each one's inverse regains, from which two causes are one
)
Pixels = NDArray[np.uint8]
Nearest = tuple[str, float, NDArray[np.float64]]


@cache
def equivalents(clean: Clean, cause: str, severity: int) -> frozenset[str]:
    """Remedies equivalent to a planted cause by the design's rule 4 (the planted cause itself is not among them):
    their best-matched copies of clean images cannot be told from the planted copies of others, or each one's inverse
    regains `REGAINED` of what the other costs."""
    known, pixels, groups = (
        CAUSES[cause],
        clean.images.pixels[clean.val],
        clean.images.groups[clean.val],
    )
    rows = np.random.default_rng(3).permutation(len(clean.val))[: 2 * PHOTOS]
    part, other = rows[:PHOTOS], rows[PHOTOS:]
    planted = known.plant(pixels[part], *known.strengths[severity], 1)
    values = measure_images(planted).to_numpy(dtype=float)
    found = set()
    for remedy, strength, copies in _nearest(known.remedy, pixels[other], values):
        alike = (
            compute_two_sample_auc(copies, values, groups[other], groups[part])
            <= CONSTANTS.causes.max_indistinguishable_auc
        )
        if alike or _undo_each_other(
            clean,
            part,
            planted,
            (known.remedy, float(np.mean(known.strengths[severity]))),
            (remedy, strength),
        ):
            found.add(remedy)
    return frozenset(found)


def _nearest(besides: str, pixels: Pixels, values: NDArray[np.float64]) -> list[Nearest]:
    """Of each other possible cause, on each side of neutral, the strength whose copies come nearest to `values`."""
    found = []
    for remedy in plugins.list_plugins("remedies"):
        plugin = plugins.load_plugin("remedies", remedy)
        for side in (
            build_strength_grid(plugin.STRENGTHS, plugin.NEUTRAL_STRENGTH)
            if plugin.IS_CAUSE and remedy != besides
            else []
        ):
            copies = {
                d: measure_images(apply_remedy(remedy, pixels, d, d, 1)).to_numpy(dtype=float)
                for d in list_possible_strengths(remedy, side)
            }
            best = min(copies, key=lambda d: compute_cliffs_delta(copies[d], values))
            found.append((remedy, best, copies[best]))
    return found


def _undo_each_other(
    clean: Clean,
    rows: NDArray[np.intp],
    planted: Pixels,
    cause: tuple[str, float],
    other: tuple[str, float],
) -> bool:
    """Whether undoing the other cause regains what the planted one costs, and the reverse."""
    pixels, answers = clean.images.pixels[clean.val][rows], clean.as_they_are.logits[rows].argmax(1)
    copies = apply_remedy(other[0], pixels, other[1], other[1], 1)
    return all(
        _regained(clean, answers, spoilt, undo) >= REGAINED
        for spoilt, undo in ((planted, other), (copies, cause))
    )


def _regained(
    clean: Clean, answers: NDArray[np.intp], spoilt: Pixels, undo: tuple[str, float]
) -> float:
    """Share of the changed answers that the inverse of `undo` takes back."""
    strength, changed = (
        plugins.load_plugin("remedies", undo[0]).invert_strength(undo[1]),
        clean.ask(spoilt).argmax(1) != answers,
    )
    if strength is None or not changed.any():
        return 0.0
    back = clean.ask(apply_remedy(undo[0], spoilt, strength, strength, 1)).argmax(1) == answers
    return float((back.mean() - (~changed).mean()) / changed.mean())
