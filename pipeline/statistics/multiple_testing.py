"""Corrections of p-values for multiple testing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

Floats = NDArray[np.float64]
PValues = Sequence[float | None] | Floats


def _adjust_known(p_values: PValues, adjust: Callable[[Floats], Floats]) -> Floats:
    """Return adjusted p-values. NaN and None mean not tested: they stay NaN and cost nothing."""
    values = np.array([np.nan if v is None else v for v in p_values], dtype=np.float64)
    known = ~np.isnan(values)
    if known.any():
        values[known] = adjust(values[known])
    return values


def _adjust_known_holm(p_values: Floats) -> Floats:
    order = np.argsort(p_values)
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def adjust_benjamini_hochberg(p_values: PValues) -> Floats:
    """Return the q-values [n] of p-values [n] (Benjamini and Hochberg 1995).

    NaN and None mean not tested and stay NaN.

    >>> adjust_benjamini_hochberg([0.01, 0.04, None, 0.03]).round(3).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    return _adjust_known(
        p_values, lambda values: np.asarray(false_discovery_control(values), dtype=np.float64)
    )


def adjust_holm(p_values: PValues) -> Floats:
    """Return family-wise adjusted p-values [n] (Holm 1979).

    NaN and None mean not tested and stay NaN. statsmodels' `multipletests` is not used because it
    collects garbage at every call, which takes a second once torch is loaded.

    >>> adjust_holm([0.01, 0.04, None, 0.03]).round(3).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    return _adjust_known(p_values, _adjust_known_holm)


def combine_simes(p_values: PValues) -> float | None:
    """Return one p-value of "none of these effects exists" (Simes 1986); None if none is known.

    It holds for independent tests and for tests with positive dependence. NaN and None mean not
    tested and cost nothing.

    >>> combine_simes([0.01, 0.04, None, 0.03])
    0.03
    """
    values = np.array([np.nan if v is None else v for v in p_values], dtype=np.float64)
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return None
    return float(min(1.0, (known * len(known) / np.arange(1, len(known) + 1)).min()))
