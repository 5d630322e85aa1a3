"""A map of the validation images by frozen features; each slice has its own mark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage

TITLE = "Embedding map"
TAB = "Images"
MAP_WIDTH, MAP_HEIGHT = 1000, 600  # units of the SVG's view box
_MARGIN = 14  # a mark at the edge is drawn whole
# Shapes that can be told apart without color, drawn from the place of a point. The first is that of
# images in no marked slice: a line of no length with a round end is a dot.
MARK_SHAPES = (
    "h0",
    "m-6 5l6-11 6 11z",
    "m-5-5h10v10h-10z",
    "m0-7l7 7-7 7-7-7z",
    "m-6-5l6 11 6-11z",
    "m-6-2h4v-4h4v4h4v4h-4v4h-4v-4h-4z",
    "m-6-6l6 4 6-4-4 6 4 6-6-4-6 4 4-6z",
)
MAX_MARKED_SLICES = len(MARK_SHAPES) - 1


def render(page: ReportPage) -> Markup:
    """Return the map as a drawing that needs no script; the script makes it answer."""
    if not page.map_positions:
        return Markup("")
    slices = []
    for number, row in enumerate(page.confirmed_slices[:MAX_MARKED_SLICES], 1):
        shape = MARK_SHAPES[number]
        slices.append(
            {"number": number, "slice": row["slice"], "title": row["title"], "shape": shape}
        )
    return render_template(
        "embedding_map.html",
        slices=slices,
        marks=_draw_marks(page),
        width=MAP_WIDTH,
        height=MAP_HEIGHT,
        point_count=len(page.map_positions),
        tsne_count=len(page.tsne_positions),
        image_count=len(page.flips),
    )


def build_map_points(page: ReportPage, row_numbers: Mapping[str, int]) -> list[list[Any]]:
    """Return the points that the script works with.

    Args:
        page: the page.
        row_numbers: row of the page's data by image id.

    Returns:
        [x, y, number of the slice (0 for none), 1 if misclassified, row], then x and y by t-SNE for
        the images that have them.
    """
    slice_numbers = _map_slice_numbers(page)
    points = []
    for image_id, position in page.map_positions.items():
        number = slice_numbers.get(image_id, 0)
        is_misclassified = int(page.is_misclassified[image_id])
        place = [*_place_point(position), number, is_misclassified, row_numbers[image_id]]
        tsne_position = page.tsne_positions.get(image_id)
        points.append([*place, *(_place_point(tsne_position) if tsne_position else ())])
    return points


def _place_point(position: tuple[int, int]) -> tuple[int, int]:
    """Return a position in units of the view box."""
    x, y = (share / 1000 for share in position)
    width, height = MAP_WIDTH - 2 * _MARGIN, MAP_HEIGHT - 2 * _MARGIN
    return round(_MARGIN + x * width), round(_MARGIN + y * height)


def _draw_marks(page: ReportPage) -> list[dict[str, Any]]:
    """Return one path for each mark and outcome, misclassified images and slices on top."""
    slice_numbers = _map_slice_numbers(page)
    paths: dict[tuple[int, int], list[str]] = {}
    for image_id, position in page.map_positions.items():
        mark = (slice_numbers.get(image_id, 0), int(page.is_misclassified[image_id]))
        x, y = _place_point(position)
        paths.setdefault(mark, []).append(f"M{x} {y}{MARK_SHAPES[mark[0]]}")
    marks = []
    for number, is_misclassified in sorted(paths):
        path = "".join(paths[number, is_misclassified])
        shape = MARK_SHAPES[number]
        marks.append({"number": number, "bad": is_misclassified, "path": path, "shape": shape})
    return marks


def _map_slice_numbers(page: ReportPage) -> dict[str, int]:
    """Return the number of each image's first marked slice, by image id."""
    numbers: dict[str, int] = {}
    for number, row in enumerate(page.confirmed_slices[:MAX_MARKED_SLICES], 1):
        for image_id in page.slice_members.get(row["slice"], []):
            numbers.setdefault(image_id, number)
    return numbers
