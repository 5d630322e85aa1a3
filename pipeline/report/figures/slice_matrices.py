"""Confusion matrices of one slice, before and after, and the classes that pay in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.report.figures.matrix_cells import (
    OTHER_CLASS_NAME,
    ConfusionCounts,
    MatrixCell,
    build_cells,
    merge_other_classes,
)
from pipeline.report.report_page import ReportPage
from pipeline.statistics.classification.classification_metrics import count_confusion

MAX_SHOWN_CLASSES = 5  # of a matrix on a card; the most confused ones, the others are merged


@dataclass(frozen=True)
class SliceMatrices:
    """The confusion matrices of a slice.

    Attributes:
        names: names of the shown classes; rows and columns have this order.
        views: (title, cells) of each matrix.
    """

    names: list[str]
    views: list[tuple[str, list[list[MatrixCell]]]]


def build_slice_matrices(page: ReportPage, slice_name: str) -> SliceMatrices:
    """Return the matrices of the slice's validation images before and after retraining."""
    members = page.flips.loc[page.slice_members.get(slice_name, [])]
    class_count = len(page.class_names)
    counts = [
        count_confusion(members["label_index"], members[column], class_count)
        for column in ("before_index", "after_index")
    ]
    kept = _select_classes(counts[0] + counts[1])
    names = [page.class_names[index] for index in kept]
    has_other = _has_other_images(counts[0] + counts[1], kept)
    titles = ("Before", "After") if page.has_targeted_arm else ("Now",)
    views = []
    for title, whole in zip(titles, counts, strict=False):
        shown = whole[np.ix_(kept, kept)]
        matrix = merge_other_classes(whole, kept) if has_other else shown
        views.append((title, build_cells(matrix, has_other)))
    return SliceMatrices([*names, OTHER_CLASS_NAME] if has_other else names, views)


def _select_classes(counts: ConfusionCounts) -> list[int]:
    """Return the classes with images in the slice, the most confused ones of many, in order."""
    present = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    errors = counts - np.diag(np.diag(counts))
    totals = (errors.sum(axis=0) + errors.sum(axis=1))[present]
    order = present[np.argsort(-totals, kind="stable")]
    return sorted(order[:MAX_SHOWN_CLASSES].tolist())


def _has_other_images(counts: ConfusionCounts, kept: list[int]) -> bool:
    return int(counts[np.ix_(kept, kept)].sum()) < int(counts.sum())


def list_paying_classes(
    changed_parts: list[dict[str, Any]], slice_name: str
) -> list[dict[str, Any]]:
    """Return the classes of a slice that are probably worse off than before.

    Args:
        changed_parts: rows of `build_change_rows`.
        slice_name: name of the slice.
    """
    return [
        row
        for row in changed_parts
        if row["kind"] == "slice class" and row["slice"] == slice_name and row["status"] == "harmed"
    ]
