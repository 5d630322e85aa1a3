"""Corrections for having tested many things at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

Floats = NDArray[np.float64]
PValues = Sequence[float | None] | Floats


def _adjust_known(p_values: PValues, adjust: Callable[[Floats], Floats]) -> Floats:
    """Adjust what was tested; NaN or None was not tested, stays NaN and costs nothing."""
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
    """q-values [n] of p-values [n] (Benjamini and Hochberg 1995); NaN or None was not tested and stays NaN."""
    return _adjust_known(
        p_values, lambda values: np.asarray(false_discovery_control(values), dtype=np.float64)
    )


def adjust_holm(p_values: PValues) -> Floats:
    """Family-wise adjusted p-values [n] (Holm 1979); NaN or None was not tested and stays NaN.

    Written out because the multipletests of statsmodels collects garbage at every call, a second where torch is loaded.
    """
    return _adjust_known(p_values, _adjust_known_holm)
