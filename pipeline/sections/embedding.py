"""A map of the validation photos: alike ones lie near each other; each slice has its own mark."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.sections import Page, draw
from pipeline.sections.slice_view import headline

TITLE = "A map of the photos"
MARKS = 6  # slices with a mark of their own


def embedding(page: Page) -> Markup:
    """The frozen features of the photos on two axes, by principal components or by likeness; drawn when in view."""
    if not page.places:
        return Markup("")
    shown = page.confirmed[:MARKS]
    slices = [{"n": k + 1, "slice": row["slice"], "title": headline(row["words"])[0]} for k, row in enumerate(shown)]
    return draw("embedding.html", slices=slices, n=len(page.places), close=len(page.close), total=len(page.flips))


def points(page: Page) -> list[list[Any]]:
    """What the script draws: x, y, the slice's number (0 for none), 1 where misread, the photo's place on the page
    (-1 where it is not carried), and x, y by likeness where there are such."""
    names = {row["slice"]: k + 1 for k, row in enumerate(page.confirmed[:MARKS])}
    of = {image_id: names[s] for s in reversed(list(names)) for image_id in page.members.get(s, [])}
    wrong = dict(zip(page.flips.index, page.flips["true"] != page.flips["was"], strict=True))
    spots = page.places.items()
    at = page.photos.position
    return [[x, y, of.get(i, 0), int(wrong[i]), at.get(i, -1), *page.close.get(i, ())] for i, (x, y) in spots]
