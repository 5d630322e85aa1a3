"""As far as its rule tells, which treated photos would be in a slice.

A rule cuts one end off what befell the photos (the greyest of those that JPEG spoilt), so that copies of all of them
are told from the slice by the cut alone. Copies are therefore cut as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.slicing.rules import Mask, Rule

Floats = NDArray[np.float64]
Limits = list[list[tuple[int, int, float]]]
"""Of each rule: the column, the side (1: at most, -1: at least), and how far the slice reaches there."""
STRAY = 0.02  # share of the slice's photos beyond its reach


def limits(rules: Sequence[Rule], frame: pd.DataFrame, values: Floats, columns: Sequence[str]) -> Limits:
    """How far the slice reaches in what its rules ask of attributes that copies have too.

    frame, values float [n, columns]: of photos of the slice, the values measured as those of copies are (a copy has
    another size than the stored photo, so that the rule's own threshold may not hold for it)."""
    found = []
    for rule in rules:
        own = [c for c in rule.conditions if c.op in ("<=", ">=") and c.column in columns]
        inside = np.logical_and.reduce([c.mask(frame, {}) for c in own]) if own else np.ones(len(frame), bool)
        reach = []
        for condition in own if inside.any() else []:
            at, side = list(columns).index(condition.column), 1 if condition.op == "<=" else -1
            reach.append((at, side, side * float(np.nanquantile(side * values[inside, at], 1 - STRAY))))
        found.append(reach)
    return found


def admitted(values: Floats, reach: Limits) -> Mask:
    """bool [n]: the copies (float [n, columns]) that any of the rules admits; all where there is none."""
    each = [[side * values[:, at] <= side * end for at, side, end in rule] for rule in reach]
    every = np.ones(len(values), bool)
    return np.logical_or.reduce([np.logical_and.reduce([every, *rule]) for rule in each]) if each else every
