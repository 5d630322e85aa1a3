"""What the failing photos of a slice without a cause have in common, in plain words: a description, and no proof."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.slicing.rules import Mask, period
from pipeline.slicing.validation import Val

Floats = NDArray[np.float64]
FEWEST, MOST = 5, 500  # failing photos that say something, and that are looked at
APART = 0.5  # standard deviations from which a measure is told
MORE = 0.2  # share by which a value, or a look-alike, is commoner than elsewhere or by chance, from which it is told
TOLD = 3  # measures at most


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _confusion(val: Val, failing: Mask) -> str:
    pairs = Counter(zip(val.truth[failing].tolist(), val.guess[failing].tolist(), strict=True))
    (label, guess), count = pairs.most_common(1)[0]
    return f"{count:,} of {int(failing.sum()):,} failures are {val.names[label]} read as {val.names[guess]}"


def _looks(val: Val, inside: Mask, rows: NDArray[np.intp], features: NDArray[np.float32]) -> Iterator[str]:
    """Whose look-alikes they are, by cosine in frozen features: of other groups, then of other classes."""
    unit = features[val.rows] / np.maximum(np.linalg.norm(features[val.rows], axis=1, keepdims=True), 1e-9)
    near, group = unit[rows] @ unit.T, pd.factorize(val.groups)[0]
    near[group[rows][:, None] == group[None]] = -np.inf
    near = np.where(np.isfinite(near), near, -np.inf)
    some = np.isfinite(near).any(1)
    held, chance = float(inside[near[some].argmax(1)].mean()) if some.any() else 0.0, float(inside.mean())
    if held >= chance + MORE:
        yield f"{_percent(held)} of them look most like another photo of the slice, {_percent(chance)} would by chance"
    near[val.truth[rows][:, None] == val.truth[None]] = -np.inf
    some = np.isfinite(near).any(1)
    if not some.any() or len(val.names) < 3:
        return
    classes = Counter(val.truth[near[some].argmax(1)].tolist())
    label, count = classes.most_common(1)[0]
    others = val.truth[None] != val.truth[rows[some]][:, None]
    share, usual = count / int(some.sum()), float((others & (val.truth == label)).sum() / others.sum())
    if share >= usual + MORE:
        yield (
            f"of the other classes they look most like {val.names[label]}: {_percent(share)} of them do, "
            f"{_percent(usual)} would by chance"
        )


def _against_class(values: Floats, classes: NDArray[np.intp], inside: Mask, failing: Mask) -> tuple[float, float]:
    """Mean of `values` over the failing less that of the same classes outside the slice, and the standard deviation
    there within classes; NaN where there is nobody to compare with."""
    known = np.isfinite(values)
    outside, ours = known & ~inside, known & failing
    size = int(classes.max()) + 1
    count = np.bincount(classes[outside], minlength=size)
    mean = np.bincount(classes[outside], values[outside], minlength=size) / np.maximum(count, 1)
    ours &= count[classes] > 0
    free = int(count.sum()) - int((count > 0).sum())
    if not ours.any() or free < 1:
        return np.nan, np.nan
    spread = float(np.sqrt(((values - mean[classes])[outside] ** 2).sum() / free))
    return float((values - mean[classes])[ours].mean()), spread


def _measures(val: Val, inside: Mask, failing: Mask, known: set[str]) -> Iterator[tuple[float, str]]:
    """(how far, words) of each number that sets them apart from others of their classes; known: told already."""
    for name in [c for c in val.frame.columns[3:] if c not in known and period(c) is None]:
        column = val.frame[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            values = column.to_numpy(dtype=float, na_value=np.nan)
            apart, spread = _against_class(values, val.truth, inside, failing)
            if spread > 0 and abs(apart / spread) >= APART:
                side = "above" if apart > 0 else "below"
                yield abs(apart / spread), f"{name} {abs(apart / spread):.1f} standard deviations {side}"


def _values(val: Val, inside: Mask, failing: Mask, known: set[str]) -> Iterator[str]:
    for name in [c for c in val.frame.columns[3:] if c not in known]:
        column = val.frame[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            continue
        counts = column[failing].dropna().astype("str").value_counts()
        if len(counts):
            has = np.asarray(column.astype("str") == str(counts.index[0]), dtype=np.float64)
            more, _ = _against_class(has, val.truth, inside, failing)
            if more >= MORE:
                share = float(has[failing].mean())
                usual = _percent(max(share - more, 0.0))
                yield f"{name} {counts.index[0]} for {_percent(share)}, {usual} of others of their class"


def in_common(val: Val, inside: Mask, features: NDArray[np.float32] | None, known: set[str], seed: int) -> str | None:
    """The classes that the failing photos of a slice confuse, their look-alikes, and what sets them apart from others
    of their classes; None where too few fail to say.

    inside: bool [rows]; features: frozen packaged ones, float32 [images, D]; known: columns that the slice's rule asks
    about, which are not told again.
    """
    failing = inside & val.errors
    if failing.sum() < FEWEST:
        return None
    parts = [_confusion(val, failing)]
    if features is not None:
        rows = np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(failing))[:MOST])
        parts += _looks(val, inside, rows, features)
    measures = sorted(_measures(val, inside, failing, known), key=lambda m: -m[0])[:TOLD]
    if measures:
        parts.append(f"{', '.join(words for _, words in measures)} others of their class")
    return "; ".join([*parts, *_values(val, inside, failing, known)])
