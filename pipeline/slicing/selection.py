"""As far as its rule tells, which treated photos would be in a slice.

A rule cuts one end off what befell the photos (the greyest of those that JPEG spoilt), so that copies of all of them
are told from the slice by the cut alone. Copies are therefore compared where they lie within the slice's own values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.slicing.rules import Mask, Rule

Floats = NDArray[np.float64]
Limits = list[list[tuple[int, int, float, float]]]
"""Of each rule: the column, the side (1: at most, -1: at least), the slice's furthest value, and its spread."""
STRAY = 0.02  # share of the slice's photos beyond its furthest value


def limits(rules: Sequence[Rule], frame: pd.DataFrame, values: Floats, columns: Sequence[str]) -> Limits:
    """How far the slice reaches in what its rules ask of attributes that copies have too.

    frame, values [n, columns]: of photos of the slice, the values measured as those of copies are (a copy has another
    size than the stored photo, so that the rule's own threshold may not hold for it). A rule that asks of nothing that
    copies have sets no limits.
    """
    found = []
    for rule in rules:
        own = [c for c in rule.conditions if c.op in ("<=", ">=") and c.column in columns]
        inside = np.logical_and.reduce([c.mask(frame, {}) for c in own]) if own else np.ones(len(frame), bool)
        reach = []
        for condition in own if inside.any() else []:
            at, side = list(columns).index(condition.column), 1 if condition.op == "<=" else -1
            of_slice = values[inside, at]
            end = side * float(np.nanquantile(side * of_slice, 1 - STRAY))
            reach.append((at, side, end, max(float(np.nanstd(of_slice)), 1e-9)))
        found.append(reach)
    return found


def beyond(values: Floats, reach: Limits) -> Floats:
    """float64 [n]: how far copies (float [n, columns]) lie outside the limits of the rule that is nearest to admitting
    them, in spreads of the slice; 0 for those that it admits."""
    if not reach:
        return np.zeros(len(values))
    each = []
    for rule in reach:
        over = [np.nan_to_num(side * (values[:, at] - end) / spread, nan=np.inf) for at, side, end, spread in rule]
        each.append(np.max([np.zeros(len(values)), *over], axis=0))
    return np.asarray(np.min(each, axis=0))


def admitted(values: Floats, reach: Limits, least: int, among: Mask | None = None) -> Mask:
    """bool [n]: the copies that a rule admits, and the least far outside up to `least` in all.

    among: bool [n], where only some are asked about."""
    far = beyond(values, reach)
    rows = np.arange(len(far)) if among is None else np.flatnonzero(among)
    order = rows[np.argsort(far[rows], kind="stable")]
    chosen = np.zeros(len(far), bool)
    chosen[order[: max(least, int((far[rows] == 0).sum()))]] = True
    return chosen
