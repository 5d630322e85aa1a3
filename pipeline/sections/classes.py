"""Class by class: precision, recall, F1 and support before and after, sortable."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.evidence.scores import by_class, confusion
from pipeline.sections import Page, draw
from pipeline.sections.matrix import most_confused

TITLE = "Class by class"


def classes(page: Page) -> Markup:
    """One row for each class, the weakest first."""
    if page.flips.empty:
        return Markup("")
    size = len(page.classes)
    before, after = (confusion(page.flips["true"], page.flips[column], size) for column in ("was", "now"))
    groups = page.flips.groupby("true")["group"].nunique().to_dict()
    scores = zip(by_class(before, page.classes), by_class(after, page.classes), most_confused(after), strict=True)
    rows = [_row(page, k, *score, int(groups.get(k, 0))) for k, score in enumerate(scores)]
    rows.sort(key=lambda row: (row["after"]["f1"] is None, row["after"]["f1"] or 0.0))
    return draw("classes.html", rows=rows, changed=page.changed, weakest=_weakest(rows))


def _row(
    page: Page, k: int, before: dict[str, Any], after: dict[str, Any], confused: int | None, groups: int
) -> dict[str, Any]:
    change = None if before["f1"] is None or after["f1"] is None else after["f1"] - before["f1"]
    name = page.classes[confused] if confused is not None else ""
    return {
        "name": page.classes[k],
        "before": before,
        "after": after,
        "groups": groups,
        "change": change,
        "confused": name,
    }


def _weakest(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    judged = [row for row in rows if row["after"]["f1"] is not None]
    return judged[0] if judged and judged[0]["after"]["f1"] < 1 else None
