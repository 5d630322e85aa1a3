"""Errors that cost differently: a stranger let in against an employee turned away. The worst error costs 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.contracts import InputError

Floats = NDArray[np.float64]
ErrorCosts = Mapping[str, Mapping[str, float]]
"""Cost of each error, by label and by answer; what is not named costs 1."""


def build_cost_matrix(
    costs: ErrorCosts, class_names: Sequence[str], setting_key: str
) -> list[list[float]] | None:
    """Cost of answering class j for class i, [i][j] as shares of the worst error; None where all errors cost alike.

    Raises `InputError`, which names `key`, for a class that is not there or a right answer with a cost.
    """
    for label, answers in costs.items():
        for name in (label, *answers):
            if name not in class_names:
                raise InputError(
                    f"{setting_key}: there is no class {name!r}; there are: {', '.join(class_names)}"
                )
        if label in answers:
            raise InputError(
                f"{setting_key}.{label}.{label}: a right answer costs nothing; leave it out"
            )
    if all(value == 1 for answers in costs.values() for value in answers.values()):
        return None
    return [
        [0.0 if a == b else float(costs.get(a, {}).get(b, 1.0)) for b in class_names]
        for a in class_names
    ]


def compute_utilities(
    labels: ArrayLike, predictions: ArrayLike, matrix: ArrayLike | None
) -> Floats:
    """1 less the cost of each answer [n] (class indices): 1 for a right one, 0 for the worst error.

    matrix: as of `cost_matrix`, or as stored; None: every error is worth 0, which makes this correctness."""
    right, said = np.asarray(labels, dtype=np.intp), np.asarray(predictions, dtype=np.intp)
    if matrix is None:
        return np.asarray(right == said, dtype=np.float64)
    kept: Floats = 1.0 - np.asarray(matrix, dtype=np.float64)
    return np.asarray(kept[right, said], dtype=np.float64)


def list_reduced_costs(
    matrix: Sequence[Sequence[float]] | None, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """The errors that cost less than the worst: [{label, answer, cost}]."""
    return [
        {"label": class_names[i], "answer": class_names[j], "cost": cost}
        for i, row in enumerate(matrix or ())
        for j, cost in enumerate(row)
        if i != j and cost < 1
    ]
