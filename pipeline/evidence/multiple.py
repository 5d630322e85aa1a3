"""Corrections for having tested many things at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

Floats = NDArray[np.float64]
Values = Sequence[float | None] | Floats


def _tested(p: Values, adjust: Callable[[Floats], Floats]) -> Floats:
    """Adjust what was tested; NaN or None was not tested, stays NaN and costs nothing."""
    values = np.array([np.nan if v is None else v for v in p], dtype=np.float64)
    known = ~np.isnan(values)
    if known.any():
        values[known] = adjust(values[known])
    return values


def _holm(p: Floats) -> Floats:
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def benjamini_hochberg(p: Values) -> Floats:
    """q-values [n] of p-values [n] (Benjamini and Hochberg 1995); NaN or None was not tested and stays NaN."""
    return _tested(p, lambda values: np.asarray(false_discovery_control(values), dtype=np.float64))


def holm(p: Values) -> Floats:
    """Family-wise adjusted p-values [n] (Holm 1979); NaN or None was not tested and stays NaN.

    Written out because the multipletests of statsmodels collects garbage at every call, a second where torch is loaded.
    """
    return _tested(p, _holm)
