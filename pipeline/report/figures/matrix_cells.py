"""Cells of the confusion matrices: counts, row shares, and the merged class "(other)"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.statistics.classification.classification_metrics import count_confusion

ConfusionCounts = NDArray[np.int64]
MAX_WHOLE_CLASSES = 30  # a larger matrix is unreadable at the width of the page
KEPT_CLASS_COUNT = 20  # most confused classes that a larger matrix keeps
OTHER_CLASS_NAME = "(other)"

# Shares of a row at which the color of a cell becomes one step deeper. Correct predictions are the
# bulk of a row, errors a few percent, changes less than either.
CORRECT_SHARE_STEPS = (0.5, 0.75, 0.9)
ERROR_SHARE_STEPS = (0.03, 0.1, 0.25)
CHANGE_SHARE_STEPS = (0.02, 0.06, 0.15)


@dataclass(frozen=True)
class MatrixCell:
    """One cell of a confusion matrix.

    Attributes:
        label_index: position of the label among the shown classes.
        predicted_index: position of the prediction among the shown classes.
        image_count: number of images, or their change.
        share: share of the row, in [0, 1]; None for an empty row.
        css_class: how good or bad the cell is, and how strongly.
        total_images: images behind the cell: those in it, or those that entered or left it.
    """

    label_index: int
    predicted_index: int
    image_count: int
    share: float | None
    css_class: str
    total_images: int


def select_confused_classes(matrices: Sequence[ConfusionCounts]) -> list[int]:
    """Return the class indices to show: all, or the most confused over all matrices, in order."""
    class_count = len(matrices[0])
    if class_count <= MAX_WHOLE_CLASSES:
        return list(range(class_count))
    errors = np.zeros((class_count, class_count), np.int64)
    for counts in matrices:
        errors += counts - np.diag(np.diag(counts))
    error_totals = errors.sum(axis=0) + errors.sum(axis=1)
    return sorted(np.argsort(-error_totals, kind="stable")[:KEPT_CLASS_COUNT].tolist())


def _map_to_kept(kept_classes: Sequence[int], class_count: int) -> NDArray[np.intp]:
    """Return the position of each class among the kept ones; the last position is "(other)"."""
    positions = np.full(class_count, len(kept_classes), dtype=np.intp)
    positions[list(kept_classes)] = np.arange(len(kept_classes))
    return positions


def merge_other_classes(counts: ConfusionCounts, kept_classes: Sequence[int]) -> ConfusionCounts:
    """Return `counts` over the kept classes; a last row and column sums up the others, if any."""
    class_count = len(counts)
    if len(kept_classes) == class_count:
        return counts
    positions = _map_to_kept(kept_classes, class_count)
    merged = np.zeros((len(kept_classes) + 1, len(kept_classes) + 1), np.int64)
    np.add.at(merged, (positions[:, None], positions[None, :]), counts)
    return merged


def _choose_css_class(is_good: bool, share: float, share_steps: Sequence[float]) -> str:
    passed_steps = sum(share >= step for step in share_steps)
    return ("right" if is_good else "wrong") + str(1 + passed_steps)


def _is_mixed_cell(label: int, predicted: int, class_count: int, has_other: bool) -> bool:
    """Return whether the cell is "(other)" predicted as itself, which may be correct or wrong."""
    return has_other and label == predicted == class_count - 1


def build_cells(counts: ConfusionCounts, has_other: bool) -> list[list[MatrixCell]]:
    """Return the cells of one matrix, colored by their share of the row.

    Args:
        counts: rows are labels.
        has_other: whether the last row and column sum up many classes.
    """
    row_totals = counts.sum(axis=1)
    rows = []
    for label, row_counts in enumerate(counts.tolist()):
        row = []
        for predicted, count in enumerate(row_counts):
            share = count / row_totals[label] if row_totals[label] else None
            is_correct = label == predicted
            if not count:
                css_class = "zero"
            elif _is_mixed_cell(label, predicted, len(counts), has_other):
                css_class = "mixed"
            else:
                steps = CORRECT_SHARE_STEPS if is_correct else ERROR_SHARE_STEPS
                css_class = _choose_css_class(is_correct, share or 0.0, steps)
            row.append(MatrixCell(label, predicted, count, share, css_class, count))
        rows.append(row)
    return rows


def build_change_cells(
    before: ConfusionCounts, after: ConfusionCounts, move_counts: ConfusionCounts, has_other: bool
) -> list[list[MatrixCell]]:
    """Return the cells of the difference, colored by whether the change is for the better.

    Args:
        before: counts before retraining; rows are labels.
        after: counts after retraining.
        move_counts: images that entered or left each cell.
        has_other: whether the last row and column sum up many classes.
    """
    row_totals = before.sum(axis=1)
    rows = []
    for label, row_changes in enumerate((after - before).tolist()):
        row = []
        for predicted, change in enumerate(row_changes):
            share = change / row_totals[label] if row_totals[label] else None
            if not change:
                css_class = "zero"
            elif _is_mixed_cell(label, predicted, len(before), has_other):
                css_class = "mixed"
            else:
                is_better = (change > 0) == (label == predicted)
                css_class = _choose_css_class(is_better, abs(share or 0.0), CHANGE_SHARE_STEPS)
            moved = int(move_counts[label, predicted])
            row.append(MatrixCell(label, predicted, change, share, css_class, moved))
        rows.append(row)
    return rows


def count_moves(
    labels: ArrayLike,
    before: ArrayLike,
    after: ArrayLike,
    kept_classes: Sequence[int],
    class_count: int,
) -> ConfusionCounts:
    """Return the number of images that entered or left each cell of the merged matrix.

    Args:
        labels: class indices, [n].
        before: class indices predicted before, [n].
        after: class indices predicted after, [n].
        kept_classes: class indices that are shown.
        class_count: number of all classes.
    """
    positions = _map_to_kept(kept_classes, class_count)
    label_positions = positions[np.asarray(labels, int)]
    before_positions = positions[np.asarray(before, int)]
    after_positions = positions[np.asarray(after, int)]
    has_moved = before_positions != after_positions
    size = len(kept_classes) + (len(kept_classes) < class_count)
    left = count_confusion(label_positions[has_moved], before_positions[has_moved], size)
    entered = count_confusion(label_positions[has_moved], after_positions[has_moved], size)
    return left + entered


def find_most_confused(counts: ConfusionCounts) -> list[int | None]:
    """Return, for each class, the class that most of its errors go to; None without errors."""
    errors = counts - np.diag(np.diag(counts))
    return [int(row.argmax()) if row.any() else None for row in errors]
