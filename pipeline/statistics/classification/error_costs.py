"""Costs of errors, such as an admitted stranger against a rejected employee. The worst costs 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.contracts import InputError

Floats = NDArray[np.float64]
ErrorCosts = Mapping[str, Mapping[str, float]]
"""Cost of each error by label and prediction; a pair that is not named costs 1."""


def build_cost_matrix(
    costs: ErrorCosts, class_names: Sequence[str], setting_key: str
) -> list[list[float]] | None:
    """Return the cost of predicting class j for label i, [i][j], as a share of the worst error.

    Args:
        costs: costs by label and prediction; a pair that is not named costs 1.
        class_names: names of the classes, in the order of their indices.
        setting_key: the setting that error messages name.

    Returns:
        None if all errors have equal cost.

    Raises:
        InputError: a class is unknown, or a correct prediction has a cost.

    >>> build_cost_matrix({"badge": {"no_badge": 0.1}}, ["badge", "no_badge"], "evaluate.costs")
    [[0.0, 0.1], [1.0, 0.0]]
    >>> build_cost_matrix({}, ["badge", "no_badge"], "evaluate.costs") is None
    True
    """
    for label, row in costs.items():
        for name in (label, *row):
            if name not in class_names:
                known = ", ".join(class_names)
                raise InputError(f"{setting_key}: unknown class {name!r}; the classes: {known}")
        if label in row:
            raise InputError(
                f"{setting_key}.{label}.{label}: a correct prediction costs nothing; leave it out"
            )
    if all(value == 1 for row in costs.values() for value in row.values()):
        return None
    return [
        [0.0 if a == b else float(costs.get(a, {}).get(b, 1.0)) for b in class_names]
        for a in class_names
    ]


def compute_utilities(
    labels: ArrayLike, predictions: ArrayLike, matrix: ArrayLike | None
) -> Floats:
    """Return 1 less the cost of each prediction [n]: 1 if correct, 0 for the worst error.

    Args:
        labels: class indices, [n].
        predictions: class indices, [n].
        matrix: costs as of `build_cost_matrix`; None makes the utility plain correctness.

    >>> compute_utilities([0, 0, 1], [0, 1, 0], [[0.0, 0.1], [1.0, 0.0]]).tolist()
    [1.0, 0.9, 0.0]
    """
    label_indices = np.asarray(labels, dtype=np.intp)
    predicted = np.asarray(predictions, dtype=np.intp)
    if matrix is None:
        return np.asarray(label_indices == predicted, dtype=np.float64)
    utilities: Floats = 1.0 - np.asarray(matrix, dtype=np.float64)
    return np.asarray(utilities[label_indices, predicted], dtype=np.float64)


def list_reduced_costs(
    matrix: Sequence[Sequence[float]] | None, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the errors that cost less than the worst: [{label, answer, cost}].

    >>> list_reduced_costs([[0.0, 0.1], [1.0, 0.0]], ["badge", "no_badge"])
    [{'label': 'badge', 'answer': 'no_badge', 'cost': 0.1}]
    """
    return [
        {"label": class_names[i], "answer": class_names[j], "cost": cost}
        for i, row in enumerate(matrix or ())
        for j, cost in enumerate(row)
        if i != j and cost < 1
    ]
