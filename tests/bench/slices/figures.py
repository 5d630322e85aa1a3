"""The figures of the benchmark.

Precision at ten, the right cause, strength ranges, and paired bootstraps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

from tests.bench.slices.causes import CAUSES

TOP, FIRST = 10, 3


def precisions(scores: NDArray[np.float64], planted: NDArray[np.bool_]) -> list[float]:
    """Share of planted images among the ten highest scores of each of the first three slices; ties fall by chance,
    and what a slice lacks of ten counts as wrong."""
    rng, found = np.random.default_rng(0), []
    for column in scores.T[:FIRST]:
        order = np.lexsort((rng.random(len(column)), -column))[:TOP]
        found.append(float((planted[order] & np.isfinite(column[order])).sum() / TOP))
    return found + [0.0] * (FIRST - len(found))


def apart(
    first: pd.Series[float], other: pd.Series[float], seed: int = 0
) -> tuple[float, float, float]:
    """Mean difference over settings and its 95 % interval by paired bootstrap."""
    gap = (first - other).to_numpy()
    draws = gap[np.random.default_rng(seed).integers(0, len(gap), (2000, len(gap)))].mean(1)
    return float(gap.mean()), *(float(v) for v in np.quantile(draws, (0.025, 0.975)))


def exact(hits: int, n: int) -> str:
    """A share with its exact 95 % interval (Clopper and Pearson 1934)."""
    if not n:
        return "none"
    low, high = binomtest(hits, n).proportion_ci(method="exact")
    return f"{hits} of {n} = {hits / n:.1%} ({low:.1%} to {high:.1%})"


def ranges(cause: str, severity: int) -> tuple[float, float] | None:
    """The planted strengths; None where the finder has no such strength."""
    known = CAUSES[cause]
    return known.strengths[severity] if known.measured else None


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    if not rows:
        return ""
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(row[k]) for k in head) + " |" for row in rows])
