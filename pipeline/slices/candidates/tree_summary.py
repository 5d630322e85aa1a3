"""What a rule admits, told in numbers by a shallow decision tree on attributes and metadata."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier

from pipeline.domain.attribute_values import format_value
from pipeline.domain.rules import Mask

Floats = NDArray[np.float64]
MAX_DEPTH, MIN_LEAF_IMAGES = 3, 10  # questions in a row; images that an answer rests on, at least
MIN_SHARE_DIFFERENCE = 0.5  # share of the rule's images, less that of the others, from which a tree says what the rule does
ColumnBounds = dict[str, tuple[float, float]]
"""(above, up to) by column; of a text's value, `column is value`, 0 to 1 is yes and below is no."""


def _build_columns(frame: pd.DataFrame, fit_mask: Mask) -> dict[str, Floats]:
    """What the tree may ask about, float [rows] each: numbers, unknown ones as the median of `learn`; and 0 or 1 for
    each value of a text."""
    columns: dict[str, Floats] = {}
    for name in frame.columns[3:]:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            values = column.to_numpy(dtype=float, na_value=np.nan)
            known = values[fit_mask & np.isfinite(values)]
            columns[name] = np.where(
                np.isfinite(values), values, np.median(known) if len(known) else 0.0
            )
        else:
            text = column.astype("str")
            columns |= {
                f"{name} is {v}": (text == v).to_numpy(dtype=float)
                for v in sorted(text[column.notna()].unique())
            }
    return columns


def _find_positive_paths(
    tree: DecisionTreeClassifier, column_names: list[str], node: int, bounds: ColumnBounds
) -> Iterator[ColumnBounds]:
    """The ways to a yes below a node; where all below is yes, the way to the node itself."""
    inner = tree.tree_
    below = [node]
    for k in below:
        below += [c for c in (inner.children_left[k], inner.children_right[k]) if c >= 0]
    yes = [bool(inner.value[k][0].argmax()) for k in below if inner.children_left[k] < 0]
    if all(yes):
        yield bounds
    elif any(yes):
        name, cut = column_names[inner.feature[node]], float(inner.threshold[node])
        low, high = bounds.get(name, (-np.inf, np.inf))
        yield from _find_positive_paths(
            tree, column_names, inner.children_left[node], {**bounds, name: (low, min(high, cut))}
        )
        yield from _find_positive_paths(
            tree, column_names, inner.children_right[node], {**bounds, name: (max(low, cut), high)}
        )


def _format_bounds(bounds: ColumnBounds, frame: pd.DataFrame) -> str:
    parts = []
    for name, (low, high) in bounds.items():
        if name not in frame.columns:
            column, _, value = name.partition(" is ")
            others = sorted(set(frame[column].dropna().astype("str")) - {value})
            unlike = f"is {others[0]}" if len(others) == 1 else f"is not {value}"
            parts.append(f"{column} is {value}" if low > 0 else f"{column} {unlike}")
        elif np.isfinite(low) and np.isfinite(high):
            parts.append(f"{name} from {format_value(name, low)} to {format_value(name, high)}")
        else:
            parts.append(
                f"{name} > {format_value(name, low)}"
                if np.isfinite(low)
                else f"{name} <= {format_value(name, high)}"
            )
    return " and ".join(parts)


def summarize_with_tree(frame: pd.DataFrame, admitted_mask: Mask, fit_mask: Mask) -> str:
    """What `admitted` (bool [rows]) is, by a tree fitted on the rows `learn` and checked on the others, where it says
    for how many it holds; empty where no tree tells it.

    frame: rows of `conditions_frame`. Source: Breiman et al. 1984, CART, by scikit-learn; classes balanced.
    """
    columns = _build_columns(frame, fit_mask)
    if (
        not columns
        or admitted_mask[fit_mask].sum() < MIN_LEAF_IMAGES
        or (~admitted_mask[fit_mask]).sum() < MIN_LEAF_IMAGES
    ):
        return ""
    x = np.column_stack(list(columns.values()))
    tree = DecisionTreeClassifier(
        max_depth=MAX_DEPTH,
        min_samples_leaf=MIN_LEAF_IMAGES,
        class_weight="balanced",
        random_state=0,
    )
    said = np.asarray(tree.fit(x[fit_mask], admitted_mask[fit_mask]).predict(x), dtype=bool)
    inside, outside = admitted_mask & ~fit_mask, ~admitted_mask & ~fit_mask
    if (
        not inside.any()
        or not outside.any()
        or said[inside].mean() - said[outside].mean() < MIN_SHARE_DIFFERENCE
    ):
        return ""
    ways = " or ".join(
        _format_bounds(bounds, frame) for bounds in _find_positive_paths(tree, list(columns), 0, {})
    )
    return f"{ways}: {100 * said[inside].mean():.0f} % of its images, {100 * said[outside].mean():.0f} % of the others"
