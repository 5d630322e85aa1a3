"""A map of the validation images: alike ones lie near each other; each slice has its own mark."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.report.report_page import ReportPage, render_template

TITLE = "A map of the images"
MAX_MARKED_SLICES = 6  # slices with a mark of their own


def render(page: ReportPage) -> Markup:
    """The frozen features of the images on two axes, by principal components or by likeness; drawn when in view."""
    if not page.map_positions:
        return Markup("")
    shown = page.confirmed_slices[:MAX_MARKED_SLICES]
    slices = [
        {"n": k + 1, "slice": row["slice"], "title": row["title"]} for k, row in enumerate(shown)
    ]
    return render_template(
        "embedding_map.html",
        slices=slices,
        n=len(page.map_positions),
        close=len(page.tsne_positions),
        total=len(page.flips),
    )


def build_map_points(page: ReportPage) -> list[list[Any]]:
    """What the script draws: x, y, the slice's number (0 for none), 1 where misread, the image's place on the page
    (-1 where it is not carried), and x, y by likeness where there are such."""
    names = {row["slice"]: k + 1 for k, row in enumerate(page.confirmed_slices[:MAX_MARKED_SLICES])}
    of = {
        image_id: names[s]
        for s in reversed(list(names))
        for image_id in page.slice_members.get(s, [])
    }
    wrong = dict(zip(page.flips.index, page.flips["true"] != page.flips["was"], strict=True))
    spots = page.map_positions.items()
    at = page.thumbnails.positions
    return [
        [x, y, of.get(i, 0), int(wrong[i]), at.get(i, -1), *page.tsne_positions.get(i, ())]
        for i, (x, y) in spots
    ]
