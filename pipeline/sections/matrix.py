"""Confusion matrices as the page draws them: counts, row shares, and a fold-up of many classes into "(other)"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.evidence.scores import confusion

Counts = NDArray[np.int64]
WHOLE = 30  # more classes than this are folded up
MOST = 20  # to the most confused ones
OTHER = "(other)"


@dataclass(frozen=True)
class Cell:
    """true, predicted: positions among the shown classes. share: of its row, in [0, 1]; None for an empty row."""

    true: int
    predicted: int
    n: int
    share: float | None
    tone: str  # a CSS class: how strongly, and whether well or badly
    total: int  # photos behind it: those in it, or those that entered or left it


def shown_classes(counts: Sequence[Counts]) -> list[int]:
    """The class indices to show: all, or the most confused ones over all the matrices, in class order."""
    size = len(counts[0])
    if size <= WHOLE:
        return list(range(size))
    errors = sum((c - np.diag(np.diag(c)) for c in counts), np.zeros((size, size), np.int64))
    weight = errors.sum(axis=0) + errors.sum(axis=1)
    return sorted(np.argsort(-weight, kind="stable")[:MOST].tolist())


def fold_up(counts: Counts, shown: Sequence[int]) -> Counts:
    """`counts` over the shown classes, all others summed up in a last row and column where there are any."""
    size = len(counts)
    if len(shown) == size:
        return counts
    place = np.full(size, len(shown))
    place[list(shown)] = np.arange(len(shown))
    folded = np.zeros((len(shown) + 1, len(shown) + 1), np.int64)
    np.add.at(folded, (place[:, None], place[None, :]), counts)
    return folded


def _tone(good: bool, n: int, strength: float, steps: Sequence[float], mixed: bool) -> str:
    if not n or mixed:
        return "mixed" if n else "zero"
    return ("right" if good else "wrong") + str(1 + sum(strength >= step for step in steps))


def cells(counts: Counts, other: bool) -> list[list[Cell]]:
    """One matrix's cells; what is right deepens with its share of the row, and so does what is wrong.

    other: the last row and column sum up many classes, so that its diagonal is neither right nor wrong.
    """
    totals, last = counts.sum(axis=1), len(counts) - 1

    def cell(i: int, j: int) -> Cell:
        n, share = int(counts[i, j]), counts[i, j] / totals[i] if totals[i] else None
        steps = (0.5, 0.75, 0.9) if i == j else (0.03, 0.1, 0.25)
        return Cell(i, j, n, share, _tone(i == j, n, share or 0.0, steps, other and i == j == last), n)

    return [[cell(i, j) for j in range(len(counts))] for i in range(len(counts))]


def change_cells(before: Counts, after: Counts, moved: Counts, other: bool) -> list[list[Cell]]:
    """The difference after less before; a tone says whether the change is for the better.

    moved: photos that entered or left each cell.
    """
    totals, last = before.sum(axis=1), len(before) - 1

    def cell(i: int, j: int) -> Cell:
        n = int(after[i, j] - before[i, j])
        share = n / totals[i] if totals[i] else None
        tone = _tone((n > 0) == (i == j), n, abs(share or 0.0), (0.02, 0.06, 0.15), other and i == j == last)
        return Cell(i, j, n, share, tone, int(moved[i, j]))

    return [[cell(i, j) for j in range(len(before))] for i in range(len(before))]


def moves(true: ArrayLike, was: ArrayLike, now: ArrayLike, shown: Sequence[int], classes: int) -> Counts:
    """int64, the folded-up matrix of photos that entered or left each cell."""
    place = np.full(classes, len(shown))
    place[list(shown)] = np.arange(len(shown))
    t, a, b = (place[np.asarray(x, int)] for x in (true, was, now))
    size = len(shown) + (len(shown) < classes)
    return confusion(t[a != b], a[a != b], size) + confusion(t[a != b], b[a != b], size)


def most_confused(counts: Counts) -> list[int | None]:
    """For each class, the class that most of its errors go to; None where it has none."""
    errors = counts - np.diag(np.diag(counts))
    return [int(row.argmax()) if row.any() else None for row in errors]
