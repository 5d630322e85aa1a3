"""Fixed, broken, still wrong: the photos whose answer the repair changed, and those it did not reach."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.sections import Page, draw
from pipeline.sections.sheets import misread, varied

TITLE = "Fixed and broken"
FEW = 12  # photos shown before anything is opened

_KINDS = (
    ("broken", "Broken", "right before, misread now"),
    ("fixed", "Fixed", "misread before, right now"),
    ("still wrong", "Still wrong", "misread before and now"),
)


def photos(page: Page) -> Markup:
    """The changed photos: a few at once, all that the page carries when opened."""
    if page.flips.empty:
        return Markup("")
    kinds = [_kind(page, *kind) for kind in _KINDS if page.changed or kind[0] == "still wrong"]
    return draw(
        "photos.html",
        kinds=kinds,
        changed=page.changed,
        mode=page.photos.mode,
        count={k["key"]: k["n"] for k in kinds},
        shown=len(page.photos.known(page.flips.index)),
        total=len(page.flips),
    )


def _kind(page: Page, key: str, word: str, meaning: str) -> dict[str, Any]:
    every = misread(page, key)
    known = page.photos.known(every)
    few = 0 if key == "still wrong" and page.changed else FEW
    first = varied(page, sorted(known, key=page.photos.is_drawn), few)
    said = [page.answers[image_id] for image_id in first]
    alts = [f"{a['label']}: {a['before']} before, {a['after']} after" for a in said]
    shown = [{"img": page.photos.img(i, alt), "told": alt, **a} for i, alt, a in zip(first, alts, said, strict=True)]
    if not page.changed:
        word, meaning = "Misread", "the photos that the model gets wrong"
    return {"key": key, "word": word, "meaning": meaning, "n": len(every), "photos": shown, "known": len(known)}
