"""Corrections for having tested many things at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

Values = Sequence[float | None] | NDArray[np.float64]


def _adjust(p: Values, method: str) -> NDArray[np.float64]:
    values = np.array([np.nan if v is None else v for v in np.asarray(p, dtype=object).reshape(-1)], dtype=np.float64)
    known = ~np.isnan(values)
    if known.any():
        values[known] = multipletests(values[known], method=method)[1]
    return values


def benjamini_hochberg(p: Values) -> NDArray[np.float64]:
    """q-values [n] of p-values [n] (Benjamini and Hochberg 1995); NaN or None was not tested and stays NaN."""
    return _adjust(p, "fdr_bh")


def holm(p: Values) -> NDArray[np.float64]:
    """Family-wise adjusted p-values [n] (Holm 1979); NaN or None was not tested and stays NaN."""
    return _adjust(p, "holm")
