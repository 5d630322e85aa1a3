"""A map of the validation images by frozen features; each slice has its own mark."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage

TITLE = "Embedding map"
TAB = "Images"
MAX_MARKED_SLICES = 6  # marks that can be told apart by shape and color


def render(page: ReportPage) -> Markup:
    """Return the frame of the map; the script draws it when it comes into view."""
    if not page.map_positions:
        return Markup("")
    slices = []
    for number, row in enumerate(page.confirmed_slices[:MAX_MARKED_SLICES], 1):
        slices.append({"number": number, "slice": row["slice"], "title": row["title"]})
    return render_template(
        "embedding_map.html",
        slices=slices,
        point_count=len(page.map_positions),
        tsne_count=len(page.tsne_positions),
        image_count=len(page.flips),
    )


def build_map_points(page: ReportPage) -> list[list[Any]]:
    """Return the points that the script draws.

    Returns:
        [x, y, number of the slice (0 for none), 1 if misclassified, number of the image on the page
        (-1 if it is not stored)], then x and y by t-SNE for the images that have them.
    """
    slice_numbers = _map_slice_numbers(page)
    points = []
    for image_id, (x, y) in page.map_positions.items():
        number = slice_numbers.get(image_id, 0)
        is_misclassified = int(page.is_misclassified[image_id])
        position = page.thumbnails.positions.get(image_id, -1)
        tsne_position = page.tsne_positions.get(image_id, ())
        points.append([x, y, number, is_misclassified, position, *tsne_position])
    return points


def _map_slice_numbers(page: ReportPage) -> dict[str, int]:
    """Return the number of each image's first marked slice, by image id."""
    numbers: dict[str, int] = {}
    for number, row in enumerate(page.confirmed_slices[:MAX_MARKED_SLICES], 1):
        for image_id in page.slice_members.get(row["slice"], []):
            numbers.setdefault(image_id, number)
    return numbers
