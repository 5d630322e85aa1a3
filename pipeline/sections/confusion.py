"""What is taken for what: three confusion matrices of the validation photos."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.sections import Page, draw
from pipeline.sections import matrix as m

TITLE = "What is taken for what"
_HEADER, _CELL, _WIDE = 0.5, 5.0, 23.0  # a matrix stands beside others up to so wide: a letter, a cell, the whole (rem)


def confusion(page: Page) -> Markup:
    """Before, after and difference; each cell opens its photos."""
    if page.flips.empty:
        return Markup("")
    size = len(page.classes)
    before, after = page.counts
    shown = m.shown_classes([before, after])
    names = [page.classes[i] for i in shown] + ([m.OTHER] if len(shown) < size else [])
    other = len(shown) < size
    moved = m.moves(page.flips["true"], page.flips["was"], page.flips["now"], shown, size)
    folded = m.fold_up(before, shown), m.fold_up(after, shown)
    views = [{"key": "before", "title": "Before" if page.changed else "As it is", "rows": m.cells(folded[0], other)}]
    if page.changed:
        views.append({"key": "after", "title": "After", "rows": m.cells(folded[1], other)})
        views.append({"key": "change", "title": "Difference", "rows": m.change_cells(*folded, moved, other)})
    return draw(
        "confusion.html",
        views=views,
        names=names,
        keys=[*shown, *(["other"] if other else [])],
        shown=shown,
        size=size,
        other=other,
        pair=_worst(page, before),
        photos=len(page.flips),
        groups=page.flips["group"].nunique(),
        changed=page.changed,
        compact=len(names) > 8,
        stacked=_HEADER * max(map(len, names)) + _CELL * len(names) > _WIDE,
        errors=[int(c.sum() - c.trace()) for c in (before, after)],
    )


def _worst(page: Page, counts: m.Counts) -> dict[str, Any] | None:
    errors = counts.copy()
    errors[range(len(errors)), range(len(errors))] = 0
    if not errors.any():
        return None
    true, predicted = divmod(int(errors.argmax()), len(errors))
    n = int(errors[true, predicted])
    after = int(((page.flips["true"] == true) & (page.flips["now"] == predicted)).sum())
    return {"true": page.classes[true], "predicted": page.classes[predicted], "n": n, "after": after}
