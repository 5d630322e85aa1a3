"""Confusion matrices as the page draws them: counts, row shares, and a fold-up of many classes into "(other)"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.statistics.classification_metrics import count_confusion

ConfusionCounts = NDArray[np.int64]
MAX_WHOLE_CLASSES = 30  # more classes than this are folded up
KEPT_CLASS_COUNT = 20  # to the most confused ones
OTHER_CLASS_NAME = "(other)"


@dataclass(frozen=True)
class MatrixCell:
    """true, predicted: positions among the shown classes. share: of its row, in [0, 1]; None for an empty row."""

    true: int
    predicted: int
    n: int
    share: float | None
    tone: str  # a CSS class: how strongly, and whether well or badly
    total: int  # images behind it: those in it, or those that entered or left it


def select_confused_classes(matrices: Sequence[ConfusionCounts]) -> list[int]:
    """The class indices to show: all, or the most confused ones over all the matrices, in class order."""
    size = len(matrices[0])
    if size <= MAX_WHOLE_CLASSES:
        return list(range(size))
    errors = sum((c - np.diag(np.diag(c)) for c in matrices), np.zeros((size, size), np.int64))
    weight = errors.sum(axis=0) + errors.sum(axis=1)
    return sorted(np.argsort(-weight, kind="stable")[:KEPT_CLASS_COUNT].tolist())


def merge_other_classes(counts: ConfusionCounts, kept_classes: Sequence[int]) -> ConfusionCounts:
    """`counts` over the shown classes, all others summed up in a last row and column where there are any."""
    size = len(counts)
    if len(kept_classes) == size:
        return counts
    place = np.full(size, len(kept_classes))
    place[list(kept_classes)] = np.arange(len(kept_classes))
    folded = np.zeros((len(kept_classes) + 1, len(kept_classes) + 1), np.int64)
    np.add.at(folded, (place[:, None], place[None, :]), counts)
    return folded


def _choose_tone(
    is_good: bool, n: int, strength: float, thresholds: Sequence[float], is_mixed: bool
) -> str:
    if not n or is_mixed:
        return "mixed" if n else "zero"
    return ("right" if is_good else "wrong") + str(1 + sum(strength >= step for step in thresholds))


def build_cells(counts: ConfusionCounts, has_other: bool) -> list[list[MatrixCell]]:
    """One matrix's cells; what is right deepens with its share of the row, and so does what is wrong.

    other: the last row and column sum up many classes, so that its diagonal is neither right nor wrong.
    """
    totals, last = counts.sum(axis=1), len(counts) - 1

    def cell(i: int, j: int) -> MatrixCell:
        n, share = int(counts[i, j]), counts[i, j] / totals[i] if totals[i] else None
        steps = (0.5, 0.75, 0.9) if i == j else (0.03, 0.1, 0.25)
        return MatrixCell(
            i,
            j,
            n,
            share,
            _choose_tone(i == j, n, share or 0.0, steps, has_other and i == j == last),
            n,
        )

    return [[cell(i, j) for j in range(len(counts))] for i in range(len(counts))]


def build_change_cells(
    before: ConfusionCounts, after: ConfusionCounts, move_counts: ConfusionCounts, has_other: bool
) -> list[list[MatrixCell]]:
    """The difference after less before; a tone says whether the change is for the better.

    moved: images that entered or left each cell.
    """
    totals, last = before.sum(axis=1), len(before) - 1

    def cell(i: int, j: int) -> MatrixCell:
        n = int(after[i, j] - before[i, j])
        share = n / totals[i] if totals[i] else None
        tone = _choose_tone(
            (n > 0) == (i == j),
            n,
            abs(share or 0.0),
            (0.02, 0.06, 0.15),
            has_other and i == j == last,
        )
        return MatrixCell(i, j, n, share, tone, int(move_counts[i, j]))

    return [[cell(i, j) for j in range(len(before))] for i in range(len(before))]


def count_moves(
    labels: ArrayLike,
    before: ArrayLike,
    after: ArrayLike,
    kept_classes: Sequence[int],
    class_count: int,
) -> ConfusionCounts:
    """int64, the folded-up matrix of images that entered or left each cell."""
    place = np.full(class_count, len(kept_classes))
    place[list(kept_classes)] = np.arange(len(kept_classes))
    t, a, b = (place[np.asarray(x, int)] for x in (labels, before, after))
    size = len(kept_classes) + (len(kept_classes) < class_count)
    return count_confusion(t[a != b], a[a != b], size) + count_confusion(t[a != b], b[a != b], size)


def find_most_confused(counts: ConfusionCounts) -> list[int | None]:
    """For each class, the class that most of its errors go to; None where it has none."""
    errors = counts - np.diag(np.diag(counts))
    return [int(row.argmax()) if row.any() else None for row in errors]
