"""Remedies that cannot be distinguished from a planted cause, computed on clean images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
from tests.bench.slices.clean_models import CleanModel
from tests.bench.slices.planted_causes import CAUSES

COMPARED_IMAGES = 150
# Share of the other cause's damage that each inverse must repair for two causes to be one.
MIN_REPAIRED_SHARE = 0.8
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Treatment:
    """A remedy at one strength."""

    remedy: str
    strength: float

    def apply(self, pixels: Pixels) -> Pixels:
        """Return treated copies of images."""
        return apply_remedy(self.remedy, pixels, self.strength, self.strength, 1)

    def measure_copies(self, pixels: Pixels) -> Floats:
        """Return the attributes of treated copies, float64 [images, attributes]."""
        return measure_values(self.apply(pixels))

    def invert(self) -> Treatment | None:
        """Return the inverse, or None if there is none."""
        strength = plugins.load_plugin("remedies", self.remedy).invert_strength(self.strength)
        return None if strength is None else Treatment(self.remedy, strength)


@cache
def find_equivalent_remedies(clean: CleanModel, cause: str, severity: int) -> frozenset[str]:
    """Return the remedies that are equivalent to a planted cause, itself excluded.

    A remedy is equivalent if its best-matched copies of clean images cannot be distinguished from
    planted copies of other images, or if each inverse repairs most of the other's damage.

    Args:
        clean: the clean model of the data set.
        cause: name of the planted cause.
        severity: 0 for moderate, 1 for severe.
    """
    planted_cause = CAUSES[cause]
    strengths = planted_cause.strength_ranges[severity]
    pixels = clean.images.pixels[clean.val_rows]
    groups = clean.images.groups[clean.val_rows]
    order = np.random.default_rng(3).permutation(len(pixels))
    rows, other_rows = order[:COMPARED_IMAGES], order[COMPARED_IMAGES : 2 * COMPARED_IMAGES]
    planted = planted_cause.plant(pixels[rows], *strengths, 1)
    planted_attributes = measure_values(planted)
    planted_treatment = Treatment(planted_cause.remedy, float(np.mean(strengths)))
    equivalent = set()
    for treatment in match_treatments(planted_cause.remedy, pixels[other_rows], planted_attributes):
        copies = treatment.measure_copies(pixels[other_rows])
        auc = compute_two_sample_auc(copies, planted_attributes, groups[other_rows], groups[rows])
        is_indistinguishable = auc <= CONSTANTS.causes.max_indistinguishable_auc
        if is_indistinguishable or _can_repair_each_other(
            clean, rows, planted, planted_treatment, treatment
        ):
            equivalent.add(treatment.remedy)
    return frozenset(equivalent)


def measure_values(pixels: Pixels) -> Floats:
    """Return the attributes of images, float64 [images, attributes]."""
    return measure_images(pixels).to_numpy(dtype=float)


def match_treatments(
    excluded_remedy: str | None, pixels: Pixels, attributes: Floats
) -> Iterator[Treatment]:
    """Yield the nearest strength of each other possible cause, on each side of neutral.

    Args:
        excluded_remedy: remedy of the planted cause; None to match every remedy.
        pixels: uint8 [images, side, side, 3], clean images.
        attributes: float64 [images, attributes] of planted images.
    """
    for remedy in plugins.list_plugins("remedies"):
        plugin = plugins.load_plugin("remedies", remedy)
        if not plugin.IS_CAUSE or remedy == excluded_remedy:
            continue
        for side in build_strength_grid(plugin.STRENGTHS, plugin.NEUTRAL_STRENGTH):
            distances = {}
            for strength in list_possible_strengths(remedy, side):
                treatment = Treatment(remedy, strength)
                copies = treatment.measure_copies(pixels)
                distances[treatment] = compute_cliffs_delta(copies, attributes)
            yield min(distances, key=distances.__getitem__)


def _can_repair_each_other(
    clean: CleanModel,
    rows: NDArray[np.intp],
    planted: Pixels,
    planted_treatment: Treatment,
    treatment: Treatment,
) -> bool:
    """Return whether the inverse of each treatment repairs most of the other's damage."""
    predictions = clean.val_outputs.logits[rows].argmax(1)
    copies = treatment.apply(clean.images.pixels[clean.val_rows][rows])
    damaged_and_inverse = ((planted, treatment.invert()), (copies, planted_treatment.invert()))
    return all(
        _measure_repaired_share(clean, predictions, damaged, inverse) >= MIN_REPAIRED_SHARE
        for damaged, inverse in damaged_and_inverse
    )


def _measure_repaired_share(
    clean: CleanModel, predictions: NDArray[np.intp], damaged: Pixels, inverse: Treatment | None
) -> float:
    """Return the share of changed predictions that an inverse restores, 0 without an inverse."""
    is_kept = clean.predict_logits(damaged).argmax(1) == predictions
    if inverse is None or is_kept.all():
        return 0.0
    is_restored = clean.predict_logits(inverse.apply(damaged)).argmax(1) == predictions
    return float((is_restored.mean() - is_kept.mean()) / (1 - is_kept.mean()))
