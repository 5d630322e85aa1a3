"""Precision, recall, F1 and support of each class before and after, and the most confused pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from pipeline.report.figures.matrix_cells import ConfusionCounts, find_most_confused
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.statistics.classification.classification_metrics import score_classes

TITLE = "Per-class metrics"
TAB = "Classes"
MAX_CONFUSED_PAIRS = 30  # rows of the table of pairs; the confusion matrix holds all


def render(page: ReportPage) -> Markup:
    """Return one row for each class, the weakest first."""
    if page.flips.empty:
        return Markup("")
    rows = _build_class_rows(page)
    return render_template(
        "per_class_metrics.html",
        rows=rows,
        has_targeted_arm=page.has_targeted_arm,
        weakest_class=_find_weakest_class(rows),
        pairs=_list_confused_pairs(page),
        pair_count=int((_count_confusions(page) > 0).sum()),
    )


def _build_class_rows(page: ReportPage) -> list[dict[str, Any]]:
    before, after = page.confusion_matrices
    scores_before = score_classes(before, page.class_names)
    scores_after = score_classes(after, page.class_names)
    most_confused = find_most_confused(after)
    groups = page.flips.groupby("label_index")["group"].nunique()
    rows: list[dict[str, Any]] = []
    for index, name in enumerate(page.class_names):
        f1_before, f1_after = scores_before[index]["f1"], scores_after[index]["f1"]
        has_change = f1_before is not None and f1_after is not None
        confused = most_confused[index]
        rows.append(
            {
                "name": name,
                "before": scores_before[index],
                "after": scores_after[index],
                "groups": int(groups.get(index, 0)),
                "change": f1_after - f1_before if has_change else None,
                "confused_class": page.class_names[confused] if confused is not None else "",
            }
        )
    rows.sort(key=lambda row: (row["after"]["f1"] is None, row["after"]["f1"] or 0.0))
    return rows


def _count_confusions(page: ReportPage) -> ConfusionCounts:
    """Return the errors of each pair of classes, before or after, whichever are more."""
    largest = np.maximum(*page.confusion_matrices)
    return largest - np.diag(np.diag(largest))


def _list_confused_pairs(page: ReportPage) -> list[dict[str, Any]]:
    """Return the most frequent confusions, before or after."""
    before, after = page.confusion_matrices
    latest = after if page.has_targeted_arm else before
    confusions, support = _count_confusions(page), before.sum(axis=1)
    order = np.argsort(-confusions, axis=None, kind="stable")[:MAX_CONFUSED_PAIRS]
    rows = []
    for label, predicted in zip(*np.unravel_index(order, confusions.shape), strict=True):
        if not confusions[label, predicted]:
            break
        rows.append(
            {
                "label_index": int(label),
                "predicted_index": int(predicted),
                "label": page.class_names[label],
                "predicted": page.class_names[predicted],
                "before": int(before[label, predicted]),
                "after": int(after[label, predicted]),
                "share": float(latest[label, predicted] / support[label]),
            }
        )
    return rows


def _find_weakest_class(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the row of the lowest F1; None if every class is perfect or absent."""
    f1 = rows[0]["after"]["f1"]
    return rows[0] if f1 is not None and f1 < 1 else None
