"""The images among which shortcuts are sought."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.slices.shortcuts.mark_masks import Pixels
from pipeline.statistics.group_sampling import draw_round_robin


@dataclass(frozen=True)
class ShortcutImages:
    """Labeled images with their groups and folds.

    Attributes:
        pixels: uint8 [images, side, side, 3].
        rows: row of `pixels` of each image, [n].
        labels: class index of each image, [n].
        groups: the group of each image, [n].
        folds: cross-validation fold of each image, [n].
    """

    pixels: Pixels
    rows: NDArray[np.intp]
    labels: NDArray[np.intp]
    groups: NDArray[np.str_]
    folds: NDArray[np.intp]

    def get_images(self, positions: NDArray[np.intp]) -> Pixels:
        """Return the images at some positions, uint8 [n, side, side, 3]."""
        return np.asarray(self.pixels[self.rows[positions]])

    def sample_distinct_groups(
        self, positions: NDArray[np.intp], max_images: int, rng: np.random.Generator
    ) -> NDArray[np.intp]:
        """Return at most `max_images` positions in random order, no two of one group.

        Args:
            positions: positions to sample from, [n].
            max_images: largest size of the sample.
            rng: source of the one permutation that is drawn.
        """
        group_count = len(np.unique(self.groups[positions]))
        return draw_round_robin(self.groups, positions, min(max_images, group_count), rng)
