"""Correctly predicted images outside every slice, and what treatments make of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.rules import Mask
from pipeline.domain.validation_set import ValidationSet
from pipeline.remedies import load_remedy
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.statistics.group_intervals import ConfidenceInterval, estimate_cluster_mean
from pipeline.statistics.group_sampling import sample_by_group

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Treatment = tuple[str, float, float]
"""Remedy, lowest and highest strength."""
MAX_KEPT_BYTES = 1 << 28
"""Treated copies that are kept for further questions: 256 MB."""


@dataclass
class GoodImages:
    """Good images of some classes: correctly predicted and outside every confirmed slice.

    Attributes:
        val: the validation set.
        rows: rows of `val`, intp [n].
        tools: how images are treated, measured and predicted.
        seed: seed of transforms and samples.
    """

    val: ValidationSet
    rows: NDArray[np.intp]
    tools: InterventionTools
    seed: int
    _copies: dict[Treatment, Pixels] = field(default_factory=dict)
    _attributes: dict[Treatment, Floats] = field(default_factory=dict)
    _predictions: dict[Treatment, NDArray[np.intp]] = field(default_factory=dict)

    def sample_subset(self, max_images: int) -> GoodImages:
        """Return at most `max_images` of the images, spread over groups."""
        chosen = sample_by_group(
            self.groups, np.arange(len(self.rows)), max_images, np.random.default_rng(self.seed)
        )
        return GoodImages(self.val, self.rows[chosen], self.tools, self.seed)

    @property
    def images(self) -> Pixels:
        """Return the untreated images, uint8 [n, side, side, 3]."""
        return np.asarray(self.tools.pixels[self.val.image_rows[self.rows]])

    @property
    def labels(self) -> NDArray[np.intp]:
        """Return the class index of each image, [n]."""
        return self.val.labels[self.rows]

    @property
    def groups(self) -> NDArray[np.str_]:
        """Return the group of each image, [n]."""
        return self.val.groups[self.rows]

    def apply_remedy(self, remedy: str, low: float, high: float) -> Pixels:
        """Return the images treated by a remedy, uint8 [n, side, side, 3].

        Copies are kept up to `MAX_KEPT_BYTES`, the latest ones.

        Args:
            remedy: plug-in that applies the transform.
            low: lowest strength.
            high: highest strength; each image gets one strength from the range.
        """
        key = (remedy, low, high)
        if key not in self._copies:
            treated = self.tools.apply_remedy(remedy, self.images, low, high, self.seed)
            while self._copies and (len(self._copies) + 1) * treated.nbytes > MAX_KEPT_BYTES:
                del self._copies[next(iter(self._copies))]
            self._copies[key] = treated
        return self._copies[key]

    def measure_treated(self, remedy: str, low: float, high: float) -> Floats:
        """Return the attributes of the treated images, float [n, attributes]; cached.

        Args:
            remedy: plug-in that applies the transform.
            low: lowest strength.
            high: highest strength.
        """
        key = (remedy, low, high)
        if key not in self._attributes:
            treated = self.apply_remedy(remedy, low, high)
            self._attributes[key] = self.tools.measure_attributes(treated)
        return self._attributes[key]

    def predict_treated(self, remedy: str, strength: float) -> NDArray[np.intp]:
        """Return the class predicted for each treated image, [n]; its label without a model.

        Predictions are kept.

        Args:
            remedy: plug-in that applies the transform.
            strength: its strength.
        """
        key = (remedy, strength, strength)
        if self.tools.predict_labels is None:
            return self.labels
        if key not in self._predictions:
            treated = self.apply_remedy(*key)
            self._predictions[key] = self.tools.predict_labels(treated)
        return self._predictions[key]

    def estimate_regained(
        self, remedy: str, treated_images: Pixels, is_misclassified: Mask, strength: float
    ) -> ConfidenceInterval | None:
        """Return the share of misclassified treated images that the inverse transform repairs.

        Args:
            remedy: remedy whose inverse is applied.
            treated_images: the images after a treatment, uint8 [n, side, side, 3].
            is_misclassified: whether the treatment breaks each image, bool [n].
            strength: strength to undo.

        Returns:
            The share with its variance by group; None without misclassified images, an inverse or
            a model.
        """
        inverse = load_remedy(remedy).invert_strength(strength)
        if not is_misclassified.any() or inverse is None or self.tools.predict_labels is None:
            return None
        repaired = self.tools.apply_remedy(
            remedy, treated_images[is_misclassified], inverse, inverse, self.seed
        )
        is_regained = self.tools.predict_labels(repaired) == self.labels[is_misclassified]
        return estimate_cluster_mean(is_regained, self.groups[is_misclassified])


def select_good_images(
    val: ValidationSet,
    outside_mask: Mask,
    slice_mask: Mask,
    tools: InterventionTools,
    max_images: int,
    seed: int,
) -> GoodImages:
    """Return correctly predicted images outside every slice, with the class shares of one slice.

    Args:
        val: the validation set.
        outside_mask: whether each image is outside every confirmed slice, bool [rows].
        slice_mask: whether each image is in the slice, bool [rows].
        tools: how images are treated, measured and predicted.
        max_images: approximate largest number; each class is rounded by itself.
        seed: seed of the sample and of transforms.
    """
    is_good = outside_mask & ~slice_mask & ~val.is_misclassified
    rng = np.random.default_rng(seed)
    counts = np.bincount(val.labels[slice_mask], minlength=len(val.class_names))
    shares = counts / max(int(slice_mask.sum()), 1)
    rows = [np.zeros(0, np.intp)]
    for label in np.flatnonzero(shares):
        candidates = np.flatnonzero(is_good & (val.labels == label))
        count = round(max_images * shares[label])
        rows.append(sample_by_group(val.groups, candidates, count, rng))
    return GoodImages(val, np.sort(np.concatenate(rows)), tools, seed)
