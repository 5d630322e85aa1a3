"""The whole page: one offline HTML file that holds its style, script and data."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline.domain.rules import Rule
from pipeline.report.figures.matrix_cells import (
    MAX_WHOLE_CLASSES,
    ConfusionCounts,
    select_confused_classes,
)
from pipeline.report.figures.thumbnails import encode_heat_map
from pipeline.report.page_templates import read_asset, render_template
from pipeline.report.report_page import ReportPage
from pipeline.report.sections import TAB_TITLES, load_section
from pipeline.report.sections.embedding_map import build_map_points
from pipeline.report.sentences.number_format import embed_json, format_plugin_name
from pipeline.report.sentences.verdict_rows import choose_outcome_text

_TIME_ATTRIBUTES = ["hour", "day"]  # the image's window shows the capture time itself
IMAGE_COLUMNS = (
    "path",
    "label",
    "before",
    "control",
    "after",
    "p_before",
    "p_after",
    "change",
    "group",
    "captured_at",
    "split",
    "attribute_values",
    "top_predictions",
    "image_id",
)


@dataclass(frozen=True)
class RenderedSection:
    """A section of a document.

    Attributes:
        name: anchor of the section.
        title: its heading, also in the navigation.
        body: its HTML.
        has_own_heading: whether `body` holds the heading.
        tab: the entry of the navigation that leads to it; empty for an entry of its own.
    """

    name: str
    title: str
    body: Markup
    has_own_heading: bool = False
    tab: str = ""


@dataclass(frozen=True)
class PageTab:
    """An entry of the navigation with the sections that it leads to.

    Attributes:
        anchor: anchor of the first section.
        title: text of the entry.
        sections: the sections, in order.
    """

    anchor: str
    title: str
    sections: tuple[RenderedSection, ...]


def group_into_tabs(sections: Iterable[RenderedSection]) -> list[PageTab]:
    """Return the entries of the navigation: sections that follow each other with one tab are one.

    >>> parts = [RenderedSection(n, n, Markup(), tab=t) for n, t in (("a", "A"), ("b", "A"))]
    >>> [(tab.anchor, tab.title, len(tab.sections)) for tab in group_into_tabs(parts)]
    [('tab-a', 'A', 2)]
    """
    tabs = []
    for title, members in groupby(sections, lambda section: section.tab or section.title):
        parts = tuple(members)
        tabs.append(PageTab(f"tab-{parts[0].name}", title, parts))
    return tabs


def build_content_policy(style: str, script: str, image_sources: str = "data:") -> str:
    """Return a Content-Security-Policy that allows this style and script and these images only."""
    hashes = []
    for text in (style, script):
        hashes.append(base64.b64encode(hashlib.sha256(text.encode()).digest()).decode())
    return (
        f"default-src 'none'; img-src {image_sources}; style-src 'sha256-{hashes[0]}'; "
        f"script-src 'sha256-{hashes[1]}'; base-uri 'none'; form-action 'none'"
    )


def render_document(
    title: str,
    run_id: str,
    *,
    sections: Sequence[RenderedSection] = (),
    introduction: Markup | None = None,
    data: str = "",
    index_link: str = "",
    version: str = "",
) -> str:
    """Return a whole HTML document.

    Args:
        title: title of the browser's window.
        run_id: text beside the product's name.
        sections: sections of the document, in order.
        introduction: HTML above the sections.
        data: JSON that the script reads; empty for a page without a script.
        index_link: address of the list of all runs; empty without one.
        version: version of Nightshift in the footer.
    """
    style, script = read_asset("style.css"), read_asset("script.js")
    document = render_template(
        "page.html",
        title=title,
        run_id=run_id,
        style=style,
        script=script,
        policy=build_content_policy(style, script),
        tabs=group_into_tabs(sections),
        introduction=introduction or Markup(""),
        data=data,
        index_link=index_link,
        version=version,
    )
    return str(document)


def render_sections(page: ReportPage, section_names: Iterable[str]) -> list[RenderedSection]:
    """Return the sections of these names by tab, in this order, without the empty ones."""
    sections = []
    for name in section_names:
        section = load_section(name)
        body = section.render(page)
        if body:
            title = getattr(section, "TITLE", format_plugin_name(name).capitalize())
            has_own_heading = bool(getattr(section, "HAS_OWN_HEADING", False))
            tab = getattr(section, "TAB", "")
            tab = tab if tab in TAB_TITLES else TAB_TITLES[-1]
            sections.append(RenderedSection(name, title, body, has_own_heading, tab))
    return sorted(sections, key=lambda section: TAB_TITLES.index(section.tab))


def render_page(page: ReportPage, section_names: Iterable[str]) -> str:
    """Return the report with the sections of these names in this order."""
    sections = render_sections(page, section_names)
    outcome = choose_outcome_text(page["verdict"]["promoted"], page["comparison"].get("outcome"))
    return render_document(
        f"{outcome}: {page.run_id}, Nightshift",
        page.run_id,
        sections=sections,
        data=embed_json(build_payload(page)),
        index_link="../index.html",
        version=str(page.run_facts.get("versions", {}).get("nightshift", "")),
    )


def build_payload(page: ReportPage) -> dict[str, Any]:
    """Return the data of the script: classes, image rows of `IMAGE_COLUMNS`, slices, thumbnails."""
    image_ids = list(page.thumbnails.positions)
    attributes = page["attributes"].set_index("image_id").select_dtypes("number")
    attributes = attributes.drop(columns=_TIME_ATTRIBUTES, errors="ignore")
    is_merged = len(page.class_names) > MAX_WHOLE_CLASSES
    change_counts = page.flips["change"].value_counts()
    return {
        "classes": page.class_names,
        "kept_classes": select_confused_classes(page.confusion_matrices),
        "has_targeted_arm": page.has_targeted_arm,
        "columns": IMAGE_COLUMNS,
        "images": _build_image_rows(page, image_ids, attributes),
        "thumbnails": page.thumbnails.list_undrawn(),
        "attributes": list(map(format_plugin_name, map(str, attributes.columns))),
        "slices": _build_slice_rows(page),
        "cells": _list_nonzero_cells(*page.confusion_matrices) if is_merged else [],
        "heat_maps": _encode_heat_maps(page),
        "map_points": build_map_points(page),
        "run_id": page.run_id,
        "reviews": page.reviews,
        "change_counts": {str(change): int(count) for change, count in change_counts.items()},
    }


def _list_nonzero_cells(before: ConfusionCounts, after: ConfusionCounts) -> list[list[int]]:
    """Return [label, prediction, before, after] of every cell that holds an image."""
    labels, predictions = np.nonzero(before + after)
    counts = (labels, predictions, before[labels, predictions], after[labels, predictions])
    cells: list[list[int]] = np.stack(counts, axis=1).tolist()
    return cells


def _encode_heat_maps(page: ReportPage) -> dict[int, list[str]]:
    """Return the heat maps before and after as base64, by the image's number on the page."""
    if page.thumbnails.mode == "none":
        return {}
    rows = page.flips.loc[page.flips["saliency"] >= 0, "saliency"]
    encoded = {}
    for image_id, row in rows.items():
        if image_id in page.thumbnails:
            before, after = page["saliency"][row]
            position = page.thumbnails.positions[str(image_id)]
            encoded[position] = [
                encode_heat_map(np.asarray(before)),
                encode_heat_map(np.asarray(after)),
            ]
    return encoded


def _list_top_predictions(page: ReportPage, image_id: str) -> list[list[int]]:
    """Return class index and probability in thousandths, by turns, before and after."""
    models = []
    for ranked in page.top_predictions.get(image_id, ()):
        flat: list[int] = []
        for class_index, share in ranked:
            flat += (class_index, round(1000 * share))
        models.append(flat)
    return models


def _build_slice_rows(page: ReportPage) -> list[dict[str, Any]]:
    rows = []
    for row in page.confirmed_slices:
        members = page.slice_members.get(row["slice"], [])
        stored = page.thumbnails.select_stored(members)
        rows.append(
            {
                "slice": row["slice"],
                "title": row["title"],
                "key": Rule.parse_json(row["frozen"]).identity,
                "n": len(members),
                "images": list(map(page.thumbnails.positions.__getitem__, stored)),
            }
        )
    return rows


def _build_image_rows(
    page: ReportPage, image_ids: Sequence[str], attributes: pd.DataFrame
) -> list[list[Any]]:
    """Return the columns `IMAGE_COLUMNS` of these images, row by row."""
    ids = list(image_ids)
    images, flips = page.images.loc[ids], page.flips.reindex(ids)
    captured_at = images["captured_at"].dt.strftime("%Y-%m-%d %H:%M").fillna("")
    top_predictions = [_list_top_predictions(page, image_id) for image_id in ids]
    columns = (
        images["path"],
        _index_classes(page, images["label"]),
        _index_classes(page, flips["before"]),
        _index_classes(page, flips["control"]),
        _index_classes(page, flips["after"]),
        _round_decimals(flips["p_before"]),
        _round_decimals(flips["p_after"]),
        flips["change"].fillna(""),
        images["group"],
        captured_at,
        images["split"],
        _round_digits(attributes.reindex(ids)),
        top_predictions,
        ids,
    )
    return list(map(list, zip(*columns, strict=True)))


def _index_classes(page: ReportPage, names: pd.Series[str]) -> list[int]:
    """Return class indices, -1 for unknown."""
    indices: list[int] = pd.Index(page.class_names).get_indexer(pd.Index(names)).tolist()
    return indices


def _round_decimals(shares: pd.Series[float]) -> list[float | None]:
    """Return shares with four decimals, None for unknown."""
    return [None if np.isnan(share) else round(float(share), 4) for share in shares]


def _round_digits(attributes: pd.DataFrame) -> list[list[float | None]]:
    """Return the rows with three significant digits, None for unknown."""
    rows = []
    for values in attributes.to_numpy(float):
        rows.append([None if np.isnan(value) else float(f"{value:.3g}") for value in values])
    return rows
