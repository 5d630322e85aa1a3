"""Permutations of outcomes by whole groups: each group gets the outcomes of another group.

Groups of similar size whose images are mostly of one stratum exchange the outcomes of their images
as one sequence (exchangeable blocks, Winkler et al. 2015). A sequence is repeated or cut where the
sizes differ. All strata of a group get the outcomes of one donor: what ties the classes of a group
together stays tied. Where the donor has no image of a stratum, the donor of the donor gives its
outcomes, and so on: a uniformly random permutation of the groups in that stratum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]
# Groups of one kind that exchange with each other only, at least: fewer leave few permutations.
MIN_BLOCK_GROUPS = 25


@dataclass(frozen=True)
class ExchangeUnits:
    """The images of each group within each stratum, as one unit that exchanges outcomes.

    Attributes:
        rows: intp [n], images in the order of their units.
        unit_of_row: intp [n], the unit of each of `rows`.
        groups: intp [units], the group of each unit, ascending.
        strata: intp [units], the stratum of each unit, ascending within a group.
        blocks: intp [groups], groups of one block exchange outcomes.
    """

    rows: Indices
    unit_of_row: Indices
    groups: Indices
    strata: Indices
    blocks: Indices

    @cached_property
    def sizes(self) -> Indices:
        """Return intp [units]: the number of images of each unit."""
        return np.bincount(self.unit_of_row, minlength=len(self.groups))

    @cached_property
    def starts(self) -> Indices:
        """Return intp [units]: position of the first image of each unit in `rows`."""
        return np.cumsum(self.sizes) - self.sizes

    @cached_property
    def block_order(self) -> Indices:
        """Return intp [groups]: the groups by block."""
        return np.argsort(self.blocks, kind="stable")

    @cached_property
    def is_pure(self) -> bool:
        """Return whether all groups that exchange outcomes have one and the same stratum."""
        if len(self.groups) > len(self.blocks):
            return False
        kinds = np.unique(self.blocks * (int(self.strata.max()) + 1) + self.strata)
        return len(kinds) == len(np.unique(self.blocks))

    def draw_donor_rows(self, rng: np.random.Generator) -> Indices:
        """Return intp [n]: for each image, the image whose outcome it gets."""
        donor_groups = np.empty(len(self.blocks), np.intp)
        donor_groups[self.block_order] = np.argsort(self.blocks + rng.random(len(self.blocks)))
        donor_of_row = self._find_donor_units(donor_groups)[self.unit_of_row]
        places = np.arange(len(self.rows)) - self.starts[self.unit_of_row]
        if self.sizes.max() > 1:
            places = places + rng.integers(self.sizes.max(), size=len(self.sizes))[self.unit_of_row]
        donor_places = self.starts[donor_of_row] + places % self.sizes[donor_of_row]
        donor_rows = np.empty(len(self.rows), np.intp)
        donor_rows[self.rows] = self.rows[donor_places]
        return donor_rows

    def _find_donor_units(self, donor_groups: Indices) -> Indices:
        """Return intp [units]: the unit of the first donor that has images of the stratum."""
        if self.is_pure:
            return donor_groups
        stratum_count = int(self.strata.max()) + 1
        codes = self.groups * stratum_count + self.strata
        donors = np.full(len(codes), -1)
        unresolved = np.arange(len(codes))
        current = donor_groups[self.groups]
        while len(unresolved):
            wanted = current * stratum_count + self.strata[unresolved]
            found = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
            is_found = codes[found] == wanted
            donors[unresolved[is_found]] = found[is_found]
            unresolved, current = unresolved[~is_found], donor_groups[current[~is_found]]
        return donors


def build_exchange_units(strata: Indices, groups: Indices) -> ExchangeUnits:
    """Return the units of all images.

    Args:
        strata: intp [n], 0.. ; outcomes are exchanged within a stratum.
        groups: intp [n], 0.. without gaps.
    """
    stratum_count = int(strata.max(initial=0)) + 1
    names, unit_of_image = np.unique(groups * stratum_count + strata, return_inverse=True)
    unit_of_image = unit_of_image.reshape(-1)
    rows = np.argsort(unit_of_image, kind="stable")
    unit_groups, unit_strata = names // stratum_count, names % stratum_count
    sizes = np.bincount(unit_of_image)
    blocks = _assign_blocks(unit_groups, unit_strata, sizes)
    return ExchangeUnits(rows, unit_of_image[rows], unit_groups, unit_strata, blocks)


def _assign_blocks(unit_groups: Indices, unit_strata: Indices, sizes: Indices) -> Indices:
    """Return intp [groups]: groups of one most frequent stratum and of similar size are one block.

    Groups whose most frequent stratum is rare are one kind together.
    """
    by_size = np.lexsort((sizes, unit_groups))
    last = np.r_[np.flatnonzero(np.diff(unit_groups[by_size])), len(by_size) - 1]
    kinds = unit_strata[by_size[last]] + 1
    kinds = np.where(np.bincount(kinds)[kinds] >= MIN_BLOCK_GROUPS, kinds, 0)
    group_sizes = np.bincount(unit_groups, sizes)
    blocks = np.zeros(len(kinds), np.intp)
    next_block = 0
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds == kind)
        count = max(1, len(own) // MIN_BLOCK_GROUPS)
        edges = np.unique(np.quantile(group_sizes[own], np.arange(1, count) / count))
        codes = np.unique(np.searchsorted(edges, group_sizes[own]), return_inverse=True)[1]
        blocks[own] = next_block + codes
        next_block += int(codes.max()) + 1
    return blocks


def permute_outcomes(
    outcomes: NDArray[np.float64], strata: Indices, groups: Indices, draws: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Yield the outcomes of all images under each draw, float64 [n].

    Args:
        outcomes: float64 [n], or [n, outcomes].
        strata: intp [n], 0.. ; outcomes are exchanged within a stratum.
        groups: intp [n], 0.. without gaps.
        draws: number of permutations.
        seed: seed of the draws.
    """
    units = build_exchange_units(strata, groups)
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield outcomes[units.draw_donor_rows(rng)]
