"""How far a slice differs from good images, measured beside null slices.

A treatment whose copies cannot be told from a slice explains nothing if untreated images cannot be
told from it either: a hidden sub-class may have the light and the sharpness of all other images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.two_sample_test import UNKNOWN_AUC, compute_two_sample_auc

Floats = NDArray[np.float64]
Groups = NDArray[np.str_]
CHANCE_AUC = 0.5  # of two sets of one distribution


@dataclass(frozen=True)
class SliceDifference:
    """How well untreated good images can be told from a slice.

    Attributes:
        untreated_auc: held-out two-sample AUC of untreated good images against the slice.
        null_auc: largest AUC of null slices, which are half of the good images' groups, against the
            other half.
    """

    untreated_auc: float
    null_auc: float

    @property
    def is_significant(self) -> bool:
        """Return whether the slice differs more than every null slice."""
        return self.untreated_auc > self.null_auc

    def is_explained_by(self, treated_auc: float) -> bool:
        """Return whether a treatment takes good images nearer to a slice that differs from them.

        Args:
            treated_auc: AUC of the treated good images against the slice.
        """
        return self.is_significant and treated_auc < self.untreated_auc

    def is_mostly_explained_by(self, treated_auc: float) -> bool:
        """Return whether a treatment removes most of a difference, as far as the AUC shows.

        Args:
            treated_auc: AUC of the treated good images against the slice.
        """
        remaining_share = 1 - CONSTANTS.causes.min_distance_reduction
        remaining = treated_auc - CHANCE_AUC
        return self.is_significant and remaining <= remaining_share * (
            self.untreated_auc - CHANCE_AUC
        )

    def is_increased_by(self, treated_auc: float) -> bool:
        """Return whether a treatment takes good images further from a slice, beyond chance.

        Args:
            treated_auc: AUC of the treated good images against the slice.
        """
        return treated_auc > max(self.untreated_auc, self.null_auc)


def measure_slice_difference(
    good_values: Floats, good_groups: Groups, slice_values: Floats, slice_groups: Groups, seed: int
) -> SliceDifference:
    """Return how well untreated good images can be told from a slice, and from null slices.

    Args:
        good_values: attributes of the untreated good images, float [n, attributes].
        good_groups: the group of each of them, [n].
        slice_values: attributes of the slice's images, float [m, attributes].
        slice_groups: the group of each of them, [m].
        seed: seed of the null slices and of the folds.
    """
    untreated_auc = compute_two_sample_auc(
        good_values, slice_values, good_groups, slice_groups, seed
    )
    rng = np.random.default_rng(seed)
    names = np.unique(good_groups)
    null_auc = 0.0 if len(names) > 1 else UNKNOWN_AUC
    for _ in range(CONSTANTS.causes.null_slice_draws):
        is_null_slice = np.isin(good_groups, rng.permutation(names)[: len(names) // 2])
        auc = compute_two_sample_auc(
            good_values[~is_null_slice],
            good_values[is_null_slice],
            good_groups[~is_null_slice],
            good_groups[is_null_slice],
            seed,
        )
        null_auc = max(null_auc, auc)
    return SliceDifference(untreated_auc, null_auc)
