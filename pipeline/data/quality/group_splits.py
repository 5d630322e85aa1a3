"""Train, val and test by a permanent hash of the group, and images that would leak between them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.domain.split_exclusions import SplitExclusion
from pipeline.domain.statuses import ExclusionKind
from pipeline.statistics.group_sampling import assign_group_folds

SPLIT_NAMES = ("train", "val", "test")
MAX_TRIED_SALTS = 500
"""Salts tried for one that fills every split. Three groups need about 10: 500 always suffice."""


@dataclass(frozen=True)
class SplitShares:
    """Shares of the groups that go to val and test; the rest goes to train."""

    val: float
    test: float

    def assign_splits(self, positions: NDArray[np.float64]) -> NDArray[np.str_]:
        """Return train, val or test for each position in [0, 1); test comes first.

        Examples:
            >>> SplitShares(val=0.2, test=0.1).assign_splits(np.array([0.05, 0.25, 0.6])).tolist()
            ['test', 'val', 'train']
        """
        is_test = positions < self.test
        is_val = positions < self.test + self.val
        return np.select([is_test, is_val], ["test", "val"], "train")


def hash_group(group: str, salt: str) -> float:
    """Return the permanent position of a group in [0, 1).

    It is given by the first 64 bits of SHA-256 of salt and group.
    """
    digest = hashlib.sha256(f"{salt}\0{group}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8]) / 2**64


def find_group_components(images: pd.DataFrame, pairs: pd.DataFrame) -> NDArray[np.int64]:
    """Return int64 [images]: the component of each image; groups that share an image are one.

    Args:
        images: `group` of each image.
        pairs: rows of duplicates, `one` and `other`.
    """
    codes = pd.factorize(images["group"])[0]
    count = int(codes.max()) + 1
    edges = (codes[pairs["one"]], codes[pairs["other"]])
    graph = coo_array((np.ones(len(pairs), np.int8), edges), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)[codes]


def compute_group_positions(
    groups: pd.Series[str], components: NDArray[np.int64], salt: str
) -> NDArray[np.float64]:
    """Return float64 [images]: the position in [0, 1) of each image's group.

    Groups of one component share the position of the group whose second hash is the smallest. The
    smallest position would favor the test split.

    Args:
        groups: group of each image.
        components: component of each image.
        salt: another salt draws other positions.
    """
    table = pd.DataFrame({"group": groups.to_numpy(), "component": components}).drop_duplicates()
    table["tie_hash"] = [hash_group(group, f"{salt}\0tie") for group in table["group"]]
    table = table.sort_values("tie_hash").drop_duplicates("component")
    table["position"] = [hash_group(group, salt) for group in table["group"]]
    return table.set_index("component")["position"].reindex(components).to_numpy()


def find_sufficient_salt(
    groups: pd.Series[str], components: NDArray[np.int64], salt: str, shares: SplitShares
) -> str | None:
    """Return a salt like `salt` that leaves no split empty, or None.

    Args:
        groups: group of each image.
        components: component of each image.
        salt: start of the salts that are tried.
        shares: shares of val and test.
    """
    if len(np.unique(components)) < len(SPLIT_NAMES):
        return None
    for number in range(2, MAX_TRIED_SALTS):
        candidate = f"{salt}-{number}"
        positions = compute_group_positions(groups, components, candidate)
        if set(shares.assign_splits(positions)) == set(SPLIT_NAMES):
            return candidate
    return None


def find_leak_reasons(
    images: pd.DataFrame, splits: pd.Series[str], components: NDArray[np.int64]
) -> pd.Series[str]:
    """Return why an image of val or test must be left out (JSON), null if it may stay.

    It must if its bytes, its group or a near-duplicate of its group are in train too, and from val
    also if they are in test.

    Args:
        images: `content_hash`, `group` and `path` of each image.
        splits: split of each image; left_out where time or site is unknown.
        components: component of each image.
    """
    images = images.assign(component=components)
    reasons = pd.Series(None, images.index, dtype="str")
    unknown_place = SplitExclusion(ExclusionKind.UNKNOWN_PLACE)
    reasons = reasons.mask(splits == "left_out", unknown_place.dump_json())
    kinds = {
        "content_hash": ExclusionKind.SAME_IMAGE,
        "group": ExclusionKind.SAME_GROUP,
        "component": ExclusionKind.TIED_GROUP,
    }
    for column, kind in kinds.items():
        for kept, losing in (("train", ("val", "test")), ("test", ("val",))):
            is_usable = (splits == kept) & reasons.isna()
            first = images[is_usable].drop_duplicates(column).set_index(column)["path"]
            path = images[column].map(first)
            is_leak = splits.isin(losing) & path.notna() & reasons.isna()
            texts = [SplitExclusion(kind, str(name), kept).dump_json() for name in path[is_leak]]
            leaks = pd.Series(texts, images.index[is_leak], dtype="str")
            reasons = reasons.mask(is_leak, leaks.reindex(images.index))
    return reasons


def assign_validation_folds(
    labels: pd.Series[str], components: NDArray[np.int64], fold_count: int, seed: int
) -> NDArray[np.int64]:
    """Return int64 [rows]: the fold of each row of val, whole components in one fold.

    Folds are stratified by label unless every label is rarer than the number of folds.

    Args:
        labels: label of each row.
        components: component of each row.
        fold_count: folds at most; there are no more than components.
        seed: seed of the shuffle.
    """
    label_codes = pd.factorize(labels, sort=True, use_na_sentinel=False)[0]
    return assign_group_folds(label_codes, components, fold_count, seed)
