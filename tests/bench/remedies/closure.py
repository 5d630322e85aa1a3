"""Accuracy, gains and closure over seeds and groups, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.paired_comparison import PairedGain, estimate_paired_gain

BOOTSTRAP_DRAWS = 4000
Mask = NDArray[np.bool_]
ArmCorrectness = Mapping[str, Mask]
"""By arm: bool [seeds, images], whether a prediction is correct."""


def compute_accuracy(correctness: Mask, subset: Mask) -> float:
    """Return the mean accuracy over seeds, NaN for an empty subset."""
    return float(correctness[:, subset].mean()) if subset.any() else float("nan")


def estimate_gain(
    correctness: ArmCorrectness, arm: str, other: str, subset: Mask, groups: NDArray[np.str_]
) -> PairedGain:
    """Return the gain of one arm over another, over the seeds of both, by the product's rule.

    Args:
        correctness: by arm: bool [seeds, images].
        arm: the arm that gains.
        other: the arm that it is compared with.
        subset: bool [images].
        groups: group of each image.
    """
    seeds = min(len(correctness[arm]), len(correctness[other]))
    return estimate_paired_gain(
        correctness[arm][:seeds, subset], correctness[other][:seeds, subset], groups[subset]
    )


def estimate_closure(
    correctness: ArmCorrectness,
    subset: Mask,
    groups: NDArray[np.str_],
    arm: str = "targeted",
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return the share of the gap between control and oracle that an arm closes.

    It is (arm - control) / (oracle - control) over seed means.

    Args:
        correctness: by arm: bool [seeds, images], for `arm`, `control` and `oracle`.
        subset: bool [images].
        groups: group of each image.
        arm: the arm that closes the gap.
        seed: seed of the bootstrap.

    Returns:
        The share and its 95 % interval by bootstrap of whole groups and of seeds.
    """
    names, codes = np.unique(groups[subset], return_inverse=True)
    sums = []
    for name in ("control", arm, "oracle"):
        rows = correctness[name][:, subset]
        sums.append([np.bincount(codes, row, len(names)) for row in rows])
    group_sums = np.array(sums)  # [arm, seed, group]
    group_sizes = np.bincount(codes, minlength=len(names))
    seed_count = group_sums.shape[1]

    def compute_closure(drawn_groups: NDArray[np.intp], seeds: NDArray[np.intp]) -> float:
        drawn_sums = group_sums[:, seeds][:, :, drawn_groups].sum(2)
        control, treated, oracle = drawn_sums.mean(1) / group_sizes[drawn_groups].sum()
        if oracle == control:
            return float("nan")
        return float((treated - control) / (oracle - control))

    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(BOOTSTRAP_DRAWS):
        drawn_groups = rng.integers(0, len(names), len(names))
        draws.append(compute_closure(drawn_groups, rng.integers(0, seed_count, seed_count)))
    low, high = np.nanquantile(draws, (0.025, 0.975))
    closure = compute_closure(np.arange(len(names)), np.arange(seed_count))
    return closure, float(low), float(high)
