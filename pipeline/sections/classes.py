"""Class by class: precision, recall, F1 and support before and after, sortable."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from pipeline.evidence.scores import by_class
from pipeline.sections import Page, draw
from pipeline.sections.matrix import Counts, most_confused

TITLE = "Class by class"
PAIRS = 30  # shown of the confused pairs


def classes(page: Page) -> Markup:
    """One row for each class, the weakest first."""
    if page.flips.empty:
        return Markup("")
    before, after = page.counts
    groups = page.flips.groupby("true")["group"].nunique().to_dict()
    scores = zip(by_class(before, page.classes), by_class(after, page.classes), most_confused(after), strict=True)
    rows = [_row(page, k, *score, int(groups.get(k, 0))) for k, score in enumerate(scores)]
    rows.sort(key=lambda row: (row["after"]["f1"] is None, row["after"]["f1"] or 0.0))
    return draw("classes.html", rows=rows, changed=page.changed, weakest=_weakest(rows), **_pairs(page, before, after))


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


def _pairs(page: Page, before: Counts, after: Counts) -> dict[str, Any]:
    """The pairs of classes that are most often confused, before or after, and how many there are in all."""
    most = np.maximum(before, after) * (1 - np.eye(len(before), dtype=np.int64))
    order = [divmod(int(k), len(most)) for k in np.argsort(-most, axis=None, kind="stable")[:PAIRS]]
    support = before.sum(axis=1)
    rows = [
        {
            "i": i,
            "j": j,
            "true": page.classes[i],
            "predicted": page.classes[j],
            "before": int(before[i, j]),
            "after": int(after[i, j]),
            "share": float((after if page.changed else before)[i, j] / support[i]),
        }
        for i, j in order
        if most[i, j]
    ]
    return {"pairs": rows, "n_pairs": int((most > 0).sum())}


def _weakest(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    judged = [row for row in rows if row["after"]["f1"] is not None]
    return judged[0] if judged and judged[0]["after"]["f1"] < 1 else None
