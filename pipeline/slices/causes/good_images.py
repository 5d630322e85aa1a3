"""Good images, and what treatments make of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.domain.rules import Mask
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.repair_test import InterventionTools

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


def sample_by_group(
    groups: NDArray[np.str_], rows: NDArray[np.intp], count: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Up to `count` of `rows`, taken round robin over groups."""
    shuffled = rng.permutation(rows)
    turn = pd.Series(groups[shuffled]).groupby(groups[shuffled]).cumcount().to_numpy()
    return np.sort(shuffled[np.argsort(turn, kind="stable")][:count])


@dataclass
class GoodImages:
    """Good images (correct, outside every confirmed slice) of some classes, and their treated copies' attributes."""

    val: ValidationSet
    rows: NDArray[np.intp]
    tools: InterventionTools
    seed: int
    _attribute_cache: dict[tuple[str, float, float], Floats] = field(default_factory=dict)

    def sample_subset(self, max_images: int) -> GoodImages:
        """Up to `images` of them."""
        few = sample_by_group(
            self.groups, np.arange(len(self.rows)), max_images, np.random.default_rng(self.seed)
        )
        return GoodImages(self.val, self.rows[few], self.tools, self.seed)

    @property
    def images(self) -> Pixels:
        """The good images as they are."""
        return np.asarray(self.tools.pixels[self.val.image_rows[self.rows]])

    def apply_remedy(self, remedy: str, low: float, high: float) -> Pixels:
        """The good images, treated."""
        return self.tools.apply_remedy(remedy, self.images, low, high, self.seed)

    def measure_treated(self, remedy: str, low: float, high: float) -> Floats:
        """Attributes float [n, attributes] of the treated images, computed once."""
        key = (remedy, low, high)
        if key not in self._attribute_cache:
            self._attribute_cache[key] = self.tools.measure_attributes(
                self.apply_remedy(remedy, low, high)
            )
        return self._attribute_cache[key]

    @property
    def labels(self) -> NDArray[np.intp]:
        """The class of each good image."""
        return self.val.labels[self.rows]

    def measure_regained_share(
        self, remedy: str, treated_images: Pixels, is_misclassified: Mask, strength: float
    ) -> float:
        """Share of the treated good images that are misread (`wrong`, bool [n]) which undoing `remedy` at `strength` mends:
        1 where there are none, 0 where nothing undoes it."""
        undo = plugins.load_plugin("remedies", remedy).invert_strength(strength)
        if not is_misclassified.any() or undo is None or self.tools.predict_labels is None:
            return float(undo is not None)
        back = self.tools.predict_labels(
            self.tools.apply_remedy(remedy, treated_images[is_misclassified], undo, undo, self.seed)
        )
        return float((back == self.labels[is_misclassified]).mean())

    @property
    def groups(self) -> NDArray[np.str_]:
        """The group of each good image."""
        return self.val.groups[self.rows]


def select_good_images(
    val: ValidationSet,
    outside_mask: Mask,
    slice_mask: Mask,
    tools: InterventionTools,
    max_images: int,
    seed: int,
) -> GoodImages:
    """Correct images outside every slice, up to `images`, their classes in the shares that they have in this one."""
    good, rng = outside_mask & ~slice_mask & ~val.is_misclassified, np.random.default_rng(seed)
    share = np.bincount(val.labels[slice_mask], minlength=len(val.class_names)) / max(
        int(slice_mask.sum()), 1
    )
    rows = [
        sample_by_group(
            val.groups, np.flatnonzero(good & (val.labels == c)), round(max_images * share[c]), rng
        )
        for c in np.flatnonzero(share)
    ]
    return GoodImages(
        val, np.sort(np.concatenate(rows)) if rows else np.flatnonzero(good)[:0], tools, seed
    )
