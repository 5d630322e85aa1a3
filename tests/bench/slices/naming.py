"""Which remedies cannot be told from a planted cause, computed on clean photos: the equivalence sets of the naming."""

from __future__ import annotations

import numpy as np

from pipeline import plugins
from pipeline.attributes import measure
from pipeline.evidence.twosample import auc
from pipeline.remedies import treat
from pipeline.slicing.match import mismatch
from pipeline.slicing.name import ALIKE, dose_grid
from tests.bench.slices.causes import CAUSES
from tests.bench.slices.settings import Case

PHOTOS = 150


def equivalents(case: Case) -> set[str]:
    """Remedies whose best-matched copies of clean photos cannot be told from the planted copies of others (AUC at most
    .65): the planted cause itself is not among them."""
    clean, cause = case.clean, CAUSES[case.setting.cause]
    rows = np.random.default_rng(3).permutation(clean.val)[: 2 * PHOTOS]
    pixels, groups = clean.photos.pixels[rows], clean.photos.groups[rows]
    low, high = cause.doses[case.setting.severity]
    planted = measure(cause.plant(pixels[:PHOTOS], low, high, 1)).to_numpy(dtype=float)
    found = set()
    for remedy in plugins.names("remedies"):
        plugin = plugins.module("remedies", remedy)
        for side in dose_grid(plugin.DOSES, plugin.NEUTRAL) if plugin.CAUSE and remedy != cause.remedy else []:
            copies = [measure(treat(remedy, pixels[PHOTOS:], d, d, 1)).to_numpy(dtype=float) for d in side]
            best = min(copies, key=lambda values: mismatch(values, planted))
            if auc(best, planted, groups[PHOTOS:], groups[:PHOTOS]) <= ALIKE:
                found.add(remedy)
    return found
