"""Closure and gains over seeds and tracks, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.paired_comparison import PairedGain, estimate_paired_gain

DRAWS = 4000
Right = Mapping[str, NDArray[np.bool_]]
"""By arm: bool [seeds, images]."""


def accuracy(right: NDArray[np.bool_], inside: NDArray[np.bool_]) -> float:
    """Mean over seeds."""
    return float(right[:, inside].mean()) if inside.any() else float("nan")


def gain(
    right: Right, arm: str, other: str, inside: NDArray[np.bool_], groups: NDArray[np.str_]
) -> PairedGain:
    """Of one arm over another, over the seeds that both have, by the product's own rule."""
    seeds = min(len(right[arm]), len(right[other]))
    return estimate_paired_gain(
        right[arm][:seeds, inside], right[other][:seeds, inside], groups[inside]
    )


def closure(
    right: Right,
    inside: NDArray[np.bool_],
    groups: NDArray[np.str_],
    arm: str = "targeted",
    seed: int = 0,
) -> tuple[float, float, float]:
    """(arm - control) / (oracle - control) over seed means, with its 95 % interval by bootstrap of whole groups and of
    seeds."""
    names, code = np.unique(groups[inside], return_inverse=True)
    wanted = ("control", arm, "oracle")
    sums = np.stack(
        [[np.bincount(code, s[inside], len(names)) for s in right[a]] for a in wanted]
    )  # arm, seed, group
    size, rng = np.bincount(code, minlength=len(names)), np.random.default_rng(seed)

    def of(picked: NDArray[np.intp], seeds: NDArray[np.intp]) -> float:
        control, treated, oracle = sums[:, seeds][:, :, picked].sum(2).mean(1) / size[picked].sum()
        return (
            float((treated - control) / (oracle - control)) if oracle != control else float("nan")
        )

    everything = of(np.arange(len(names)), np.arange(sums.shape[1]))
    draws = [
        of(rng.integers(0, len(names), len(names)), rng.integers(0, sums.shape[1], sums.shape[1]))
        for _ in range(DRAWS)
    ]
    low, high = np.nanquantile(draws, (0.025, 0.975))
    return everything, float(low), float(high)
