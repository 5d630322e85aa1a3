"""Metrics of the slice benchmark: precision at ten, proportions and paired bootstraps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

TOP_IMAGES = 10
JUDGED_SLICES = 3
BOOTSTRAP_DRAWS = 2000


def compute_top_precisions(
    scores: NDArray[np.float64], is_planted: NDArray[np.bool_]
) -> list[float]:
    """Return the precision at ten of each of the first three slices.

    It is the share of planted images among the ten with the highest scores. Ties fall by chance.
    What a slice lacks of ten images counts as wrong.

    Args:
        scores: float [images, slices], -inf outside a slice.
        is_planted: bool [images].
    """
    rng = np.random.default_rng(0)
    precisions = []
    for column in scores.T[:JUDGED_SLICES]:
        top = np.lexsort((rng.random(len(column)), -column))[:TOP_IMAGES]
        hits = is_planted[top] & np.isfinite(column[top])
        precisions.append(float(hits.sum() / TOP_IMAGES))
    return precisions + [0.0] * (JUDGED_SLICES - len(precisions))


def estimate_mean_difference(
    first: pd.Series[float], second: pd.Series[float], seed: int = 0
) -> tuple[float, float, float]:
    """Return the mean difference over settings and its 95 % interval by paired bootstrap."""
    differences = (first - second).to_numpy()
    count = len(differences)
    draws = np.random.default_rng(seed).integers(0, count, (BOOTSTRAP_DRAWS, count))
    low, high = np.quantile(differences[draws].mean(1), (0.025, 0.975))
    return float(differences.mean()), float(low), float(high)


def format_proportion(hits: int, count: int) -> str:
    """Return a proportion with its exact 95 % interval (Clopper and Pearson 1934)."""
    if not count:
        return "none"
    low, high = binomtest(hits, count).proportion_ci(method="exact")
    return f"{hits} of {count} = {hits / count:.1%} ({low:.1%} to {high:.1%})"
