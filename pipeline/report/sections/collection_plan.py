"""Images to collect next, by slice, class, camera and hour, and the groups that decide."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from pipeline.domain.group_source import CAMERA_COLUMN
from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.sentences.plain.collection_lines import (
    describe_collected_images,
    describe_collection_command,
    describe_look_alikes,
    describe_needed_groups,
    describe_unlabeled_images,
)
from pipeline.report.sentences.plain.slice_places import describe_place

TITLE = "What to collect next"
TAB = "Slices"
HOURS_PER_BIN = 6
MAX_LISTED_VALUES = 6  # classes, cameras or periods of one slice


def render(page: ReportPage) -> Markup:
    """Return a list of what to collect for each confirmed slice, also as text to copy."""
    requests = [_build_request(page, row) for row in page.confirmed_slices]
    if not requests:
        return Markup("")
    lines = []
    for request in requests:
        details = [*request["held"], *filter(None, [request["look_alikes"]])]
        lines += [f"{request['place']}: {request['needed']}", *map("- {}".format, details)]
    command = describe_collection_command(
        str(page.run_facts.get("config") or ""), bool(page.images["given_split"].notna().any())
    )
    return render_template(
        "collection_plan.html",
        requests=requests,
        lines=[*lines, command],
        command=command,
        unlabeled=describe_unlabeled_images(page["policy"].get("look_alikes")),
    )


def _build_request(page: ReportPage, explanation: dict[str, Any]) -> dict[str, Any]:
    """Return a slice with the groups that it needs, its present images, and one of them."""
    name = explanation["slice"]
    images = page.images.loc[page.slice_members.get(name, [])]
    stored = page.thumbnails.select_stored(images.index[page.is_misclassified[images.index]])
    picture = page.thumbnails.draw_thumbnail(stored[0], explanation["title"]) if stored else ""
    held = []
    for noun, values in _list_columns(images):
        counts = values.value_counts().head(MAX_LISTED_VALUES)
        groups = images.groupby(values)["group"].nunique().to_dict()
        parts = [(str(value), int(n), int(groups[value])) for value, n in counts.items()]
        if parts:
            held.append(describe_collected_images(noun, parts))
    return {
        "slice": name,
        "place": describe_place(explanation),
        "picture": picture,
        "needed": describe_needed_groups(_list_power_rows(page, name)),
        "held": held,
        "look_alikes": describe_look_alikes(page["policy"].get("look_alikes"), name),
    }


def _list_columns(images: pd.DataFrame) -> list[tuple[str, pd.Series[str]]]:
    """Return the columns that images are counted by, with their nouns."""
    columns = [("class", images["label"])]
    if CAMERA_COLUMN in images:
        columns.append((CAMERA_COLUMN, images[CAMERA_COLUMN]))
    hours = images["captured_at"].dt.hour.dropna()
    first = (hours // HOURS_PER_BIN * HOURS_PER_BIN).astype(int)
    names = first.map(lambda hour: f"{hour:02d}:00 to {hour + HOURS_PER_BIN:02d}:00")
    columns.append(("hour", names.astype("str")))
    return columns


def _list_power_rows(page: ReportPage, slice_name: str) -> list[dict[str, Any]]:
    return [row for row in page["comparison"]["power"] if row["slice"] == slice_name]
