"""Confusion matrices of the validation images: before, after and their difference."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from pipeline.report.figures.matrix_cells import (
    OTHER_CLASS_NAME,
    ConfusionCounts,
    build_cells,
    build_change_cells,
    count_moves,
    merge_other_classes,
    select_confused_classes,
)
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage

TITLE = "Confusion matrix"
TAB = "Classes"
MAX_WIDE_CLASSES = 8  # more classes get narrow cells and vertical headings
# Matrices are placed side by side up to this width, estimated from letters and cells (rem).
MAX_MATRIX_WIDTH = 23.0
LETTER_WIDTH = 0.5
CELL_WIDTH = 5.0


def render(page: ReportPage) -> Markup:
    """Return the matrices; each cell opens its images."""
    if page.flips.empty:
        return Markup("")
    class_count = len(page.class_names)
    before, after = page.confusion_matrices
    kept_classes = select_confused_classes([before, after])
    names = [page.class_names[index] for index in kept_classes]
    keys: list[int | str] = [*kept_classes]
    has_other = len(kept_classes) < class_count
    if has_other:
        names.append(OTHER_CLASS_NAME)
        keys.append("other")
    width = LETTER_WIDTH * max(map(len, names)) + CELL_WIDTH * len(names)
    return render_template(
        "confusion_matrix.html",
        views=_build_views(page, kept_classes, has_other),
        names=names,
        keys=keys,
        kept_classes=kept_classes,
        class_count=class_count,
        has_other=has_other,
        worst_confusion=_find_worst_confusion(page, before),
        image_count=len(page.flips),
        group_count=page.flips["group"].nunique(),
        has_targeted_arm=page.has_targeted_arm,
        is_compact=len(names) > MAX_WIDE_CLASSES,
        is_stacked=width > MAX_MATRIX_WIDTH,
    )


def _build_views(
    page: ReportPage, kept_classes: list[int], has_other: bool
) -> list[dict[str, Any]]:
    before, after = page.confusion_matrices
    merged_before = merge_other_classes(before, kept_classes)
    cells_before = build_cells(merged_before, has_other)
    errors_before = int(before.sum() - before.trace())
    if not page.has_targeted_arm:
        title = "Now"
        return [{"key": "before", "title": title, "rows": cells_before, "errors": errors_before}]
    merged_after = merge_other_classes(after, kept_classes)
    flips = page.flips
    moves = count_moves(
        flips["label_index"],
        flips["before_index"],
        flips["after_index"],
        kept_classes,
        len(page.class_names),
    )
    changes = build_change_cells(merged_before, merged_after, moves, has_other)
    cells_after = build_cells(merged_after, has_other)
    errors_after = int(after.sum() - after.trace())
    return [
        {"key": "before", "title": "Before", "rows": cells_before, "errors": errors_before},
        {"key": "after", "title": "After", "rows": cells_after, "errors": errors_after},
        {"key": "change", "title": "Difference", "rows": changes, "errors": None},
    ]


def _find_worst_confusion(page: ReportPage, counts: ConfusionCounts) -> dict[str, Any] | None:
    """Return the most frequent confusion before, with its counts; None without an error."""
    errors = counts - np.diag(np.diag(counts))
    if not errors.any():
        return None
    label, predicted = divmod(int(errors.argmax()), len(errors))
    return {
        "label": page.class_names[label],
        "predicted": page.class_names[predicted],
        "before": int(errors[label, predicted]),
        "after": int(page.confusion_matrices[1][label, predicted]),
    }
