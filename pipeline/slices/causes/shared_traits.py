"""What the failing images of a slice without a cause have in common, in plain words: a description, and no proof."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Mask, get_period
from pipeline.domain.validation_set import ValidationSet

Floats = NDArray[np.float64]
MIN_FAILING_IMAGES, MAX_FAILING_IMAGES = (
    5,
    500,
)  # failing images that say something, and that are looked at
MIN_DEVIATION = 0.5  # standard deviations from which a measure is told
MIN_SHARE_DIFFERENCE = 0.2  # share by which a value, or a look-alike, is commoner than elsewhere or by chance, from which it is told
MAX_REPORTED_MEASURES = 3  # measures at most


def _format_percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _describe_confusion(val: ValidationSet, failing_mask: Mask) -> str:
    pairs = Counter(
        zip(val.labels[failing_mask].tolist(), val.predictions[failing_mask].tolist(), strict=True)
    )
    (label, guess), count = pairs.most_common(1)[0]
    return f"{count:,} of {int(failing_mask.sum()):,} failures are {val.class_names[label]} read as {val.class_names[guess]}"


def _describe_neighbors(
    val: ValidationSet, slice_mask: Mask, failing_rows: NDArray[np.intp]
) -> Iterator[str]:
    """Whose look-alikes they are, by cosine in frozen features: of other groups, then of other classes."""
    unit = val.embeddings / np.maximum(np.linalg.norm(val.embeddings, axis=1, keepdims=True), 1e-9)
    near, group = unit[failing_rows] @ unit.T, pd.factorize(val.groups)[0]
    near[group[failing_rows][:, None] == group[None]] = -np.inf
    near = np.where(np.isfinite(near), near, -np.inf)
    some = np.isfinite(near).any(1)
    held, chance = (
        float(slice_mask[near[some].argmax(1)].mean()) if some.any() else 0.0,
        float(slice_mask.mean()),
    )
    if held >= chance + MIN_SHARE_DIFFERENCE:
        yield f"{_format_percent(held)} of them look most like another image of the slice, {_format_percent(chance)} would by chance"
    near[val.labels[failing_rows][:, None] == val.labels[None]] = -np.inf
    some = np.isfinite(near).any(1)
    if not some.any() or len(val.class_names) < 3:
        return
    classes = Counter(val.labels[near[some].argmax(1)].tolist())
    label, count = classes.most_common(1)[0]
    others = val.labels[None] != val.labels[failing_rows[some]][:, None]
    share, usual = (
        count / int(some.sum()),
        float((others & (val.labels == label)).sum() / others.sum()),
    )
    if share >= usual + MIN_SHARE_DIFFERENCE:
        yield (
            f"of the other classes they look most like {val.class_names[label]}: {_format_percent(share)} of them do, "
            f"{_format_percent(usual)} would by chance"
        )


def _compare_to_class(
    values: Floats, labels: NDArray[np.intp], slice_mask: Mask, failing_mask: Mask
) -> tuple[float, float]:
    """Mean of `values` over the failing less that of the same classes outside the slice, and the standard deviation
    there within classes; NaN where there is nobody to compare with."""
    known = np.isfinite(values)
    outside, ours = known & ~slice_mask, known & failing_mask
    size = int(labels.max()) + 1
    count = np.bincount(labels[outside], minlength=size)
    mean = np.bincount(labels[outside], values[outside], minlength=size) / np.maximum(count, 1)
    ours &= count[labels] > 0
    free = int(count.sum()) - int((count > 0).sum())
    if not ours.any() or free < 1:
        return np.nan, np.nan
    spread = float(np.sqrt(((values - mean[labels])[outside] ** 2).sum() / free))
    return float((values - mean[labels])[ours].mean()), spread


def _compare_measures(
    val: ValidationSet, slice_mask: Mask, failing_mask: Mask, reported_columns: set[str]
) -> Iterator[tuple[float, str]]:
    """(how far, words) of each number that sets them apart from others of their classes; known: told already."""
    for name in [
        c for c in val.frame.columns[3:] if c not in reported_columns and get_period(c) is None
    ]:
        column = val.frame[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            values = column.to_numpy(dtype=float, na_value=np.nan)
            apart, spread = _compare_to_class(values, val.labels, slice_mask, failing_mask)
            if spread > 0 and abs(apart / spread) >= MIN_DEVIATION:
                side = "above" if apart > 0 else "below"
                yield (
                    abs(apart / spread),
                    f"{name} {abs(apart / spread):.1f} standard deviations {side}",
                )


def _describe_values(
    val: ValidationSet, slice_mask: Mask, failing_mask: Mask, reported_columns: set[str]
) -> Iterator[str]:
    for name in [c for c in val.frame.columns[3:] if c not in reported_columns]:
        column = val.frame[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            continue
        counts = column[failing_mask].dropna().astype("str").value_counts()
        if len(counts):
            has = np.asarray(column.astype("str") == str(counts.index[0]), dtype=np.float64)
            more, _ = _compare_to_class(has, val.labels, slice_mask, failing_mask)
            if more >= MIN_SHARE_DIFFERENCE:
                share = float(has[failing_mask].mean())
                usual = _format_percent(max(share - more, 0.0))
                yield f"{name} {counts.index[0]} for {_format_percent(share)}, {usual} of others of their class"


def describe_shared_traits(
    val: ValidationSet, slice_mask: Mask, reported_columns: set[str], seed: int
) -> str | None:
    """The classes that the failing images of a slice confuse, their look-alikes, and what sets them apart from others
    of their classes; None where too few fail to say.

    inside: bool [rows]; known: columns that the slice's rule asks about, which are not told again.
    """
    failing = slice_mask & val.is_misclassified
    if failing.sum() < MIN_FAILING_IMAGES:
        return None
    parts = [_describe_confusion(val, failing)]
    if val.embeddings.shape[1]:
        rows = np.sort(
            np.random.default_rng(seed).permutation(np.flatnonzero(failing))[:MAX_FAILING_IMAGES]
        )
        parts += _describe_neighbors(val, slice_mask, rows)
    measures = sorted(
        _compare_measures(val, slice_mask, failing, reported_columns), key=lambda m: -m[0]
    )[:MAX_REPORTED_MEASURES]
    if measures:
        parts.append(f"{', '.join(words for _, words in measures)} others of their class")
    return "; ".join([*parts, *_describe_values(val, slice_mask, failing, reported_columns)])
