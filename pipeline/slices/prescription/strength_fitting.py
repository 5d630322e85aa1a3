"""The remedy and strength range that make training images resemble a slice.

The cause of a slice is named on the validation set. The training treatment is fitted here, on the
images that are to be treated. Of the cause and its equivalents, the remedy is chosen whose treated
images are hardest to separate from the slice: a dark image is also noisy and flat, and less light
alone makes it neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline.domain.validation_set import ValidationSet
from pipeline.remedies import transfer_tones
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.slices.prescription.strength_ranges import (
    StrengthRange,
    compute_middle_strength,
    is_multiplicative,
    is_ordered,
    list_nearby_strengths,
)
from pipeline.statistics.group_sampling import sample_by_group
from pipeline.statistics.two_sample_test import UNKNOWN_AUC, compute_two_sample_auc

Floats = NDArray[np.float64]
FIT_COLUMNS = ("fitted_remedy", "fitted_low", "fitted_high", "fit_auc", "tone_auc")
"""Training treatment of a slice: remedy, strength range, the AUC of `StrengthFit`, and the AUC of
training images with the tones of the slice (see `measure_tone_fit`)."""


@dataclass(frozen=True)
class StrengthFit:
    """A remedy with the strength range that makes training images resemble a slice.

    Attributes:
        remedy: name of the plug-in.
        low: lowest strength.
        high: highest strength.
        attribute_distance: mean Kolmogorov-Smirnov distance of treated training images from the
            slice, 0 to 1.
        auc: held-out two-sample AUC of the same; .5 if they are indistinguishable.
    """

    remedy: str
    low: float
    high: float
    attribute_distance: float
    auc: float


def compute_ks_distance(first_values: Floats, second_values: Floats) -> float:
    """Return the mean Kolmogorov-Smirnov statistic of two samples over their columns.

    It compares spread as well as location, so that too wide a strength range is more distant than a
    fitting one.

    Args:
        first_values: float [n, columns], NaN if unknown.
        second_values: float [m, columns], NaN if unknown.

    Returns:
        0 for equal distributions, 1 for disjoint ones; 1 if no column has known values in both.
    """
    statistics = []
    for first, second in zip(first_values.T, second_values.T, strict=True):
        x, y = first[~np.isnan(first)], second[~np.isnan(second)]
        if len(x) and len(y):
            statistics.append(float(stats.ks_2samp(x, y, method="asymp").statistic))
    return float(np.mean(statistics)) if statistics else 1.0


@dataclass(frozen=True)
class StrengthFitter:
    """Fits remedies to one slice.

    Attributes:
        tools: how images are treated and measured.
        image_rows: rows of `pixels` of the training images, [n].
        image_groups: their groups, [n].
        slice_values: attributes of the slice's images, float [m, attributes].
        slice_groups: their groups, [m].
    """

    tools: InterventionTools
    image_rows: NDArray[np.intp]
    image_groups: NDArray[np.str_]
    slice_values: Floats
    slice_groups: NDArray[np.str_]

    def find_best_fit(self, strength_ranges: Sequence[StrengthRange]) -> StrengthFit | None:
        """Return the fit that is hardest to separate from the slice; the first of equal ones."""
        fits = []
        for strength_range in strength_ranges:
            fit = self._fit_strength_range(strength_range)
            if fit is not None:
                fits.append(fit)
        return choose_fit(fits)

    def _measure_treated(self, remedy: str, low: float, high: float) -> Floats:
        pixels = np.asarray(self.tools.pixels[self.image_rows])
        seed = CONSTANTS.prescription.fit_seed
        return self.tools.measure_attributes(
            self.tools.apply_remedy(remedy, pixels, low, high, seed)
        )

    def _measure_distance(self, treated_values: Floats) -> float:
        return compute_ks_distance(treated_values, self.slice_values)

    def _compute_auc(self, treated_values: Floats) -> float:
        return compute_two_sample_auc(
            treated_values,
            self.slice_values,
            self.image_groups,
            self.slice_groups,
            CONSTANTS.prescription.fit_seed,
        )

    def _fit_strength_range(self, strength_range: StrengthRange) -> StrengthFit | None:
        """Return the range of strengths whose copies are nearest to the slice.

        The best single strength is found first, then the best range of the strengths beside it. A
        remedy whose strengths have no order keeps the requested range.
        """
        remedy, low, high = strength_range.remedy, strength_range.low, strength_range.high
        if not is_ordered(remedy):
            values = self._measure_treated(remedy, low, high)
            distance = self._measure_distance(values)
            return StrengthFit(remedy, low, high, distance, self._compute_auc(values))
        grid = list_nearby_strengths(strength_range)
        if not grid:
            return None
        copies = {level: self._measure_treated(remedy, level, level) for level in grid}
        best = int(np.argmin([self._measure_distance(copies[level]) for level in grid]))
        reach = CONSTANTS.prescription.neighbor_strength_count
        near = grid[max(0, best - reach) : best + reach + 1]
        levels = set(near)
        for milder, stronger in pairwise(near):
            levels.add(compute_middle_strength(remedy, milder, stronger))
        ladder = sorted(levels)
        for level in ladder:
            if level not in copies:
                copies[level] = self._measure_treated(remedy, level, level)
        distances: dict[tuple[float, float], float] = {}
        for ends in combinations_with_replacement(ladder, 2):
            mixed = _mix_copies(remedy, ends, ladder, copies)
            distances[ends] = self._measure_distance(mixed)
        low, high = min(distances, key=lambda ends: distances[ends])
        auc = self._compute_auc(self._measure_treated(remedy, low, high))
        return StrengthFit(remedy, low, high, distances[low, high], auc)


def choose_fit(fits: Sequence[StrengthFit]) -> StrengthFit | None:
    """Return the first fit whose AUC is within tolerance of the lowest; None without fits."""
    lowest_auc = min((fit.auc for fit in fits), default=0.0)
    for fit in fits:
        if fit.auc <= lowest_auc + CONSTANTS.prescription.fit_auc_tolerance:
            return fit
    return None


def fit_remedy(
    val: ValidationSet,
    slice_mask: NDArray[np.bool_],
    treated_images: pd.DataFrame,
    strength_ranges: Sequence[StrengthRange],
    tools: InterventionTools,
) -> tuple[str, float, float, float, float]:
    """Return the training treatment of one slice, the values of `FIT_COLUMNS`.

    Args:
        val: the validation set.
        slice_mask: whether each image is in the slice, bool [rows].
        treated_images: rows of `images` that may be treated; their index is the row of `pixels`. A
            sample with the class shares of the slice is fitted.
        strength_ranges: treatments to fit, in order of preference.
        tools: how images are treated and measured.

    Returns:
        The first strength range and NaN AUCs if there are no images to fit.
    """
    rng = np.random.default_rng(CONSTANTS.prescription.fit_seed)
    max_images = CONSTANTS.prescription.max_fit_images
    rows = sample_by_group(val.groups, np.flatnonzero(slice_mask), max_images, rng)
    class_shares = val.frame[slice_mask]["label"].value_counts(normalize=True)
    samples = [np.zeros(0, np.intp)]
    for label, share in class_shares.items():
        of_class = treated_images[treated_images["label"] == label]
        groups = of_class["group"].to_numpy(dtype=str)
        positions = sample_by_group(
            groups, np.arange(len(of_class)), round(max_images * share), rng
        )
        samples.append(of_class.index.to_numpy()[positions])
    sample = np.sort(np.concatenate(samples))
    fit = None
    if len(rows) and len(sample):
        slice_pixels = np.asarray(tools.pixels[val.image_rows[rows]])
        values = tools.measure_attributes(slice_pixels)
        groups = treated_images.loc[sample, "group"].to_numpy(dtype=str)
        fitter = StrengthFitter(tools, sample, groups, values, val.groups[rows])
        fit = fitter.find_best_fit(strength_ranges)
    if fit is None:
        first = strength_ranges[0]
        return first.remedy, first.low, first.high, float("nan"), float("nan")
    return fit.remedy, fit.low, fit.high, fit.auc, measure_tone_fit(fitter, slice_pixels)


def measure_tone_fit(fitter: StrengthFitter, slice_pixels: NDArray[np.uint8]) -> float:
    """Return the held-out two-sample AUC of training images with the slice's tones; .5 is best.

    The tones come from one half of the slice's groups, and the other half is compared.

    Args:
        fitter: the fitter of the slice.
        slice_pixels: uint8 [m, S, S, 3], the images of `fitter.slice_values`.
    """
    lends_tones = np.isin(fitter.slice_groups, np.unique(fitter.slice_groups)[::2])
    if lends_tones.all():
        return UNKNOWN_AUC
    pixels = np.asarray(fitter.tools.pixels[fitter.image_rows])
    toned = transfer_tones(pixels, slice_pixels[lends_tones], CONSTANTS.prescription.fit_seed)
    return compute_two_sample_auc(
        fitter.tools.measure_attributes(toned),
        fitter.slice_values[~lends_tones],
        fitter.image_groups,
        fitter.slice_groups[~lends_tones],
        CONSTANTS.prescription.fit_seed,
    )


def _mix_copies(
    remedy: str,
    strength_range: tuple[float, float],
    strengths: Sequence[float],
    copies_by_strength: dict[float, Floats],
) -> Floats:
    """Return attributes of images whose strengths are drawn from a range, as in training.

    For each image the copy at the nearest measured strength is used.

    Args:
        remedy: remedy of the strengths.
        strength_range: lowest and highest strength.
        strengths: measured strengths, ascending.
        copies_by_strength: attributes at each measured strength, float [n, attributes].

    Returns:
        float [n, attributes].
    """
    low, high = strength_range
    steps = np.array(strengths)
    count = len(copies_by_strength[strengths[0]])
    order = np.random.default_rng(CONSTANTS.prescription.fit_seed).permutation(count)
    quantiles = (order + 0.5) / count
    if is_multiplicative(remedy):
        drawn = np.log(low) + quantiles * np.log(high / low)
        steps = np.log(steps)
    else:
        drawn = low + quantiles * (high - low)
    nearest = np.abs(drawn[:, None] - steps).argmin(1)
    copies = np.stack([copies_by_strength[strength] for strength in strengths])
    return np.asarray(copies[nearest, np.arange(count)])
