"""Which remedy, at which strengths, makes training images look like a slice.

The cause of a slice is named on val (`match`); what trains is fitted here, on the images that are to be treated. Of a
cause and of what stands beside it as equivalent, the remedy is taken whose treated images are hardest to tell from the
slice: a dark image is also noisy and flat, which less light alone is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline import plugins
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.cause_naming import build_strength_grid
from pipeline.slices.causes.good_images import sample_by_group
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.causes.treatment_matching import list_possible_strengths
from pipeline.statistics.two_sample_test import compute_two_sample_auc

Floats = NDArray[np.float64]
MAX_FIT_IMAGES = 100  # of a slice, and training images, that a strength range is fitted on
NEIGHBOR_STRENGTHS = (
    3  # strengths of the grid on either side of the best one between which the range is sought
)
AUC_TOLERANCE = 0.02  # difference in AUC that tells no two remedies apart
RANDOM_SEED = 0
FIT_COLUMNS = ("given", "given_low", "given_high", "fitted")
"""What training images are given for a slice: remedy, strengths, and the AUC that tells them from it (see `Fit`)."""


@dataclass(frozen=True)
class StrengthRange:
    """A remedy, and strengths of it that name the side of neutral."""

    remedy: str
    low: float
    high: float


@dataclass(frozen=True)
class StrengthFit:
    """A remedy and its strength range. auc: held-out two-sample AUC of treated training images against the slice, .5 where
    they are alike; apart: mean Kolmogorov-Smirnov distance over the attributes."""

    remedy: str
    low: float
    high: float
    attribute_distance: float
    auc: float


def measure_attribute_distance(first_values: Floats, second_values: Floats) -> float:
    """Mean Kolmogorov-Smirnov statistic over the columns of a [n, k] and b [m, k]: 0 alike, 1 apart.

    It sees spread as well as place, so that a range of strengths that is too wide is farther off than one that fits."""
    found = []
    for x, y in zip(first_values.T, second_values.T, strict=True):
        x, y = x[~np.isnan(x)], y[~np.isnan(y)]
        if len(x) and len(y):
            found.append(float(stats.ks_2samp(x, y, method="asymp").statistic))
    return float(np.mean(found)) if found else 1.0


@dataclass(frozen=True)
class StrengthFitter:
    """Fits remedies to one slice. shown: rows of `images`, training images; groups: of them; values: attributes
    float [n, k] of the slice's images, and their groups."""

    tools: InterventionTools
    image_rows: NDArray[np.intp]
    image_groups: NDArray[np.str_]
    slice_values: Floats
    slice_groups: NDArray[np.str_]

    def find_best_fit(self, strength_ranges: Sequence[StrengthRange]) -> StrengthFit | None:
        """The remedy that is hardest to tell from the slice, up to `TOLD`: the first of those."""
        fits = [fit for item in strength_ranges if (fit := self._fit_strength_range(item))]
        least = min((fit.auc for fit in fits), default=0.0)
        return next((fit for fit in fits if fit.auc <= least + AUC_TOLERANCE), None)

    def _measure_treated(self, remedy: str, low: float, high: float) -> Floats:
        pixels = np.asarray(self.tools.pixels[self.image_rows])
        return self.tools.measure_attributes(
            self.tools.apply_remedy(remedy, pixels, low, high, RANDOM_SEED)
        )

    def _compute_auc(self, treated_values: Floats) -> float:
        return compute_two_sample_auc(
            treated_values, self.slice_values, self.image_groups, self.slice_groups, RANDOM_SEED
        )

    def _fit_strength_range(self, strength_range: StrengthRange) -> StrengthFit | None:
        """The range of strengths whose copies are nearest to the slice: the best single strength first, then all ranges of the
        strengths beside it. A remedy without an order of strengths keeps those asked for."""
        name = strength_range.remedy
        if not _is_ordered(name):
            copy = self._measure_treated(name, strength_range.low, strength_range.high)
            return StrengthFit(
                name,
                strength_range.low,
                strength_range.high,
                measure_attribute_distance(copy, self.slice_values),
                self._compute_auc(copy),
            )
        grid = list_nearby_strengths(strength_range)
        if not grid:
            return None
        copies = {strength: self._measure_treated(name, strength, strength) for strength in grid}
        at = grid.index(
            min(grid, key=lambda strength: measure_attribute_distance(copies[strength], self.slice_values))
        )
        near = grid[max(0, at - NEIGHBOR_STRENGTHS) : at + NEIGHBOR_STRENGTHS + 1]
        ladder = sorted({*near, *(compute_middle_strength(name, a, b) for a, b in pairwise(near))})
        copies |= {
            strength: self._measure_treated(name, strength, strength) for strength in ladder if strength not in copies
        }
        ranges = [(a, b) for k, a in enumerate(ladder) for b in ladder[k:]]
        apart = {
            r: measure_attribute_distance(_mix_copies(name, r, ladder, copies), self.slice_values)
            for r in ranges
        }
        low, high = min(ranges, key=lambda r: apart[r])
        return StrengthFit(
            name,
            low,
            high,
            apart[low, high],
            self._compute_auc(self._measure_treated(name, low, high)),
        )


def list_strength_ranges(
    explanation: Any, causes: pd.DataFrame, find_renderer: Callable[[str, float, float], str]
) -> list[StrengthRange]:
    """What may be given to training images for a slice (a row of `explanations`): its cause and those that stand beside
    it as named or equivalent in `causes`, each after what renders it as it comes about in life."""
    known = causes[
        (causes["slice"] == explanation.slice) & (causes["named"] | causes["equivalent"])
    ]
    asked = [StrengthRange(explanation.cause, explanation.strength_low, explanation.strength_high)]
    asked += [
        StrengthRange(str(r.remedy), float(r.strength), float(r.strength))
        for r in known.itertuples()
        if r.remedy != explanation.cause
    ]
    rendered = [StrengthRange(find_renderer(d.remedy, d.low, d.high), d.low, d.high) for d in asked]
    return list(dict.fromkeys(d for pair in zip(rendered, asked, strict=True) for d in pair))


def fit_remedy(
    val: ValidationSet,
    slice_mask: NDArray[np.bool_],
    treated_images: pd.DataFrame,
    strength_ranges: Sequence[StrengthRange],
    tools: InterventionTools,
) -> tuple[str, float, float, float]:
    """`GIVEN` for one slice; the first of `asked` as it is where there are no images to fit on.

    inside: bool [val]; treated: rows of `images`, the training images that the remedy is for, of whom classes are drawn
    as they are in the slice."""
    rng, part = np.random.default_rng(RANDOM_SEED), val.frame[slice_mask]
    rows = sample_by_group(val.groups, np.flatnonzero(slice_mask), MAX_FIT_IMAGES, rng)
    picked: list[NDArray[np.intp]] = []
    for label, share in part["label"].value_counts(normalize=True).items():
        of_class = treated_images[treated_images["label"] == label]
        some = sample_by_group(
            of_class["group"].to_numpy(dtype=str),
            np.arange(len(of_class)),
            round(MAX_FIT_IMAGES * share),
            rng,
        )
        picked.append(of_class.index.to_numpy()[some])
    shown = np.sort(np.concatenate(picked)) if picked else np.zeros(0, np.intp)
    best = None
    if len(rows) and len(shown):
        values = tools.measure_attributes(np.asarray(tools.pixels[val.image_rows[rows]]))
        groups = treated_images.loc[shown, "group"].to_numpy(dtype=str)
        best = StrengthFitter(tools, shown, groups, values, val.groups[rows]).find_best_fit(
            strength_ranges
        )
    if best is None:
        return (
            strength_ranges[0].remedy,
            strength_ranges[0].low,
            strength_ranges[0].high,
            float("nan"),
        )
    return best.remedy, best.low, best.high, best.auc


def _is_ordered(remedy: str) -> bool:
    plugin = plugins.load_plugin("remedies", remedy)
    return bool(plugins.load_plugin("remedies", getattr(plugin, "RENDERS", remedy)).IS_ORDERED)


def list_nearby_strengths(strength_range: StrengthRange) -> list[float]:
    """The strengths of a remedy, ascending, that are tried on the side of neutral that `item` names; what renders another
    has that one's strengths."""
    name, low, high = strength_range.remedy, strength_range.low, strength_range.high
    plugin = plugins.load_plugin("remedies", name)
    strengths = plugins.load_plugin("remedies", getattr(plugin, "RENDERS", name)).STRENGTHS
    neutral = plugin.NEUTRAL_STRENGTH
    below = neutral is not None and high <= neutral
    sides = [
        s
        for s in build_strength_grid(tuple(strengths), neutral)
        if neutral is None or (s[0] < neutral) == below
    ]
    return sorted(
        {strength for side in sides for strength in (*list_possible_strengths(name, side), low, high)}
    )


def _is_multiplicative(remedy: str) -> bool:
    return bool(plugins.load_plugin("remedies", remedy).NEUTRAL_STRENGTH == 1)


def compute_middle_strength(remedy: str, low: float, high: float) -> float:
    """Half way between two strengths: geometric where strengths multiply."""
    return float(np.sqrt(low * high)) if _is_multiplicative(remedy) else (low + high) / 2


def _mix_copies(
    remedy: str,
    strength_range: tuple[float, float],
    strengths: Sequence[float],
    copies_by_strength: dict[float, Floats],
) -> Floats:
    """Attributes [n, k] of images with strengths drawn from a range, as training draws them; of each image the copy at the
    nearest strength of the ladder is taken."""
    (low, high), steps = strength_range, np.array(strengths)
    count = len(copies_by_strength[strengths[0]])
    place = (np.random.default_rng(RANDOM_SEED).permutation(count) + 0.5) / count
    if _is_multiplicative(remedy):
        strength, steps = np.log(low) + place * np.log(high / low), np.log(steps)
    else:
        strength = low + place * (high - low)
    nearest = np.abs(strength[:, None] - steps).argmin(1)
    return np.stack([copies_by_strength[strengths[k]][row] for row, k in enumerate(nearest)])
