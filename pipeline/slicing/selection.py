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
Limits = list[list[tuple[int, str, float]]]  # of each rule: column, `<=` or `>=`, and the slice's furthest value
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
            at, end = list(columns).index(condition.column), 1 - STRAY if condition.op == "<=" else STRAY
            reach.append((at, condition.op, float(np.nanquantile(values[inside, at], end))))
        found.append(reach)
    return found


def within(values: Floats, reach: Limits) -> Mask:
    """bool [n]: whether copies (float [n, columns]) lie within the limits of any rule."""
    inside = np.zeros(len(values), bool)
    for rule in reach:
        each = [values[:, at] <= end if op == "<=" else values[:, at] >= end for at, op, end in rule]
        inside |= np.logical_and.reduce([np.ones(len(values), bool), *each])
    return inside if reach else np.ones(len(values), bool)
