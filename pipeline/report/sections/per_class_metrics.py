"""Class by class: precision, recall, F1 and support before and after, sortable."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from pipeline.report.matrix_cells import ConfusionCounts, find_most_confused
from pipeline.report.report_page import ReportPage, render_template
from pipeline.statistics.classification_metrics import score_classes

TITLE = "Class by class"
MAX_CONFUSED_PAIRS = 30  # shown of the confused pairs


def render(page: ReportPage) -> Markup:
    """One row for each class, the weakest first."""
    if page.flips.empty:
        return Markup("")
    before, after = page.confusion_matrices
    groups = page.flips.groupby("true")["group"].nunique().to_dict()
    scores = zip(
        score_classes(before, page.class_names),
        score_classes(after, page.class_names),
        find_most_confused(after),
        strict=True,
    )
    rows = [
        _build_class_row(page, k, *score, int(groups.get(k, 0))) for k, score in enumerate(scores)
    ]
    rows.sort(key=lambda row: (row["after"]["f1"] is None, row["after"]["f1"] or 0.0))
    return render_template(
        "per_class_metrics.html",
        rows=rows,
        changed=page.has_repaired_model,
        weakest=_find_weakest_class(rows),
        **_collect_confused_pairs(page, before, after),
    )


def _build_class_row(
    page: ReportPage,
    class_index: int,
    before: dict[str, Any],
    after: dict[str, Any],
    confused_class: int | None,
    group_count: int,
) -> dict[str, Any]:
    change = None if before["f1"] is None or after["f1"] is None else after["f1"] - before["f1"]
    name = page.class_names[confused_class] if confused_class is not None else ""
    return {
        "name": page.class_names[class_index],
        "before": before,
        "after": after,
        "groups": group_count,
        "change": change,
        "confused": name,
    }


def _collect_confused_pairs(
    page: ReportPage, before: ConfusionCounts, after: ConfusionCounts
) -> dict[str, Any]:
    """The pairs of classes that are most often confused, before or after, and how many there are in all."""
    most = np.maximum(before, after) * (1 - np.eye(len(before), dtype=np.int64))
    order = [
        divmod(int(k), len(most))
        for k in np.argsort(-most, axis=None, kind="stable")[:MAX_CONFUSED_PAIRS]
    ]
    support = before.sum(axis=1)
    rows = [
        {
            "i": i,
            "j": j,
            "true": page.class_names[i],
            "predicted": page.class_names[j],
            "before": int(before[i, j]),
            "after": int(after[i, j]),
            "share": float((after if page.has_repaired_model else before)[i, j] / support[i]),
        }
        for i, j in order
        if most[i, j]
    ]
    return {"pairs": rows, "n_pairs": int((most > 0).sum())}


def _find_weakest_class(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    judged = [row for row in rows if row["after"]["f1"] is not None]
    return judged[0] if judged and judged[0]["after"]["f1"] < 1 else None
