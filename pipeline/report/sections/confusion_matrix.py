"""What is taken for what: three confusion matrices of the validation images."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.report import matrix_cells as m
from pipeline.report.report_page import ReportPage, render_template

TITLE = "What is taken for what"
_LETTER_WIDTH_REM, _CELL_WIDTH_REM, _MAX_WIDTH_REM = (
    0.5,
    5.0,
    23.0,
)  # a matrix stands beside others up to so wide: a letter, a cell, the whole (rem)


def render(page: ReportPage) -> Markup:
    """Before, after and difference; each cell opens its images."""
    if page.flips.empty:
        return Markup("")
    size = len(page.class_names)
    before, after = page.confusion_matrices
    shown = m.select_confused_classes([before, after])
    names = [page.class_names[i] for i in shown] + (
        [m.OTHER_CLASS_NAME] if len(shown) < size else []
    )
    other = len(shown) < size
    moved = m.count_moves(page.flips["true"], page.flips["was"], page.flips["now"], shown, size)
    folded = m.merge_other_classes(before, shown), m.merge_other_classes(after, shown)
    views = [
        {
            "key": "before",
            "title": "Before" if page.has_repaired_model else "As it is",
            "rows": m.build_cells(folded[0], other),
        }
    ]
    if page.has_repaired_model:
        views.append({"key": "after", "title": "After", "rows": m.build_cells(folded[1], other)})
        views.append(
            {
                "key": "change",
                "title": "Difference",
                "rows": m.build_change_cells(*folded, moved, other),
            }
        )
    return render_template(
        "confusion_matrix.html",
        views=views,
        names=names,
        keys=[*shown, *(["other"] if other else [])],
        shown=shown,
        size=size,
        other=other,
        pair=_find_worst_confusion(page, before),
        images=len(page.flips),
        groups=page.flips["group"].nunique(),
        changed=page.has_repaired_model,
        compact=len(names) > 8,
        stacked=_LETTER_WIDTH_REM * max(map(len, names)) + _CELL_WIDTH_REM * len(names)
        > _MAX_WIDTH_REM,
        errors=[int(c.sum() - c.trace()) for c in (before, after)],
    )


def _find_worst_confusion(page: ReportPage, counts: m.ConfusionCounts) -> dict[str, Any] | None:
    errors = counts.copy()
    errors[range(len(errors)), range(len(errors))] = 0
    if not errors.any():
        return None
    true, predicted = divmod(int(errors.argmax()), len(errors))
    n = int(errors[true, predicted])
    after = int(((page.flips["true"] == true) & (page.flips["now"] == predicted)).sum())
    return {
        "true": page.class_names[true],
        "predicted": page.class_names[predicted],
        "n": n,
        "after": after,
    }
