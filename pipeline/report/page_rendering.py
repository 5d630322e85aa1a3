"""The whole page: one offline HTML file with its style, script and data inside, under a strict policy."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline import plugins
from pipeline.domain.rules import Rule
from pipeline.report.matrix_cells import MAX_WHOLE_CLASSES, ConfusionCounts, select_confused_classes
from pipeline.report.number_format import embed_json, format_plugin_name
from pipeline.report.report_page import ReportPage, render_template
from pipeline.report.sections.embedding_map import build_map_points
from pipeline.report.thumbnails import encode_heat_map

_ASSET_FOLDER = Path(__file__).parent / "assets"
_TIME_ATTRIBUTES = ["hour", "day"]  # a image's window says when it was taken
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
    "taken",
    "split",
    "values",
    "top",
    "id",
)


def read_asset(name: str) -> Markup:
    """The style sheet or script of that name, as it stands in the page (they hold no `</`)."""
    return Markup((_ASSET_FOLDER / name).read_text(encoding="utf-8"))


def build_content_policy(style: str, script: str) -> str:
    """A Content-Security-Policy that lets in this style, this script and inline pictures, and nothing else."""
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style, script)
    ]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def render_document(heading: str, run_id: str, **parts: Any) -> str:
    """The document around its parts: sections (name, title, own_heading, body) or lead, data, home, version."""
    style, script = read_asset("style.css"), read_asset("script.js")
    values = {"sections": [], "lead": Markup(""), "data": "", "home": "", "version": ""} | parts
    return str(
        render_template(
            "page.html",
            title=heading,
            run_id=run_id,
            style=style,
            script=script,
            policy=build_content_policy(style, script),
            **values,
        )
    )


def render_page(page: ReportPage, section_names: Sequence[str]) -> str:
    """The page with the sections of these names in this order."""
    sections = []
    for name in section_names:
        module, body = (
            plugins.load_plugin("sections", name),
            plugins.load_plugin("sections", name).render(page),
        )
        if body:
            heading = getattr(module, "TITLE", format_plugin_name(name).capitalize())
            own = bool(getattr(module, "HAS_OWN_HEADING", False))
            sections.append({"name": name, "title": heading, "own_heading": own, "body": body})
    word = "Promoted" if page["verdict"]["promoted"] else "Not promoted"
    version = str(page.run_facts.get("versions", {}).get("nightshift", ""))
    return render_document(
        f"{word}: {page.run_id}, Nightshift",
        page.run_id,
        sections=sections,
        data=embed_json(build_payload(page)),
        home="../index.html",
        version=version,
    )


def build_payload(page: ReportPage) -> dict[str, Any]:
    """What the script draws from: classes, the images on the page as rows of `COLUMNS`, and their thumbnails."""
    flips, images = page.flips, list(page.thumbnails.positions)
    attributes = (
        page["attributes"]
        .set_index("image_id")
        .select_dtypes("number")
        .drop(columns=_TIME_ATTRIBUTES, errors="ignore")
    )
    return {
        "classes": page.class_names,
        "shown": select_confused_classes(page.confusion_matrices),
        "changed": page.has_repaired_model,
        "columns": IMAGE_COLUMNS,
        "images": _build_image_rows(page, images, attributes),
        "thumbs": page.thumbnails.list_undrawn(),
        "attributes": [format_plugin_name(str(name)) for name in attributes.columns],
        "slices": _build_slice_rows(page),
        "counts": _list_nonzero_cells(*page.confusion_matrices)
        if len(page.class_names) > MAX_WHOLE_CLASSES
        else [],
        "heat": _encode_heat_maps(page),
        "map": build_map_points(page),
        "run": page.run_id,
        "reviews": page.reviews,
        "totals": {str(k): int(v) for k, v in flips["change"].value_counts().items()},
    }


def _list_nonzero_cells(before: ConfusionCounts, after: ConfusionCounts) -> list[list[int]]:
    """[true, predicted, before, after] of every cell of the whole matrix that holds a image."""
    cells = zip(*np.nonzero(before + after), strict=True)
    return [[int(i), int(j), int(before[i, j]), int(after[i, j])] for i, j in cells]


def _encode_heat_maps(page: ReportPage) -> dict[int, list[str]]:
    """Heat maps before and after as base64, by the image's place on the page."""
    if page.thumbnails.mode == "none":
        return {}
    table, maps = page.flips[page.flips["saliency"] >= 0], page["saliency"]
    known = [
        (i, k) for i, k in zip(table.index, table["saliency"], strict=True) if i in page.thumbnails
    ]
    return {
        page.thumbnails.positions[i]: [encode_heat_map(np.asarray(heat)) for heat in maps[k]]
        for i, k in known
    }


def _list_top_predictions(page: ReportPage, image_id: str) -> list[list[int]]:
    """The likeliest classes before and after: class index and probability in thousandths, by turns."""
    return [
        [x for k, p in ranked for x in (k, round(1000 * p))]
        for ranked in page.top_predictions.get(image_id, [])
    ]


def _build_slice_rows(page: ReportPage) -> list[dict[str, Any]]:
    rows = []
    for row in page.confirmed_slices:
        ids = page.slice_members.get(row["slice"], [])
        places = [page.thumbnails.positions[i] for i in page.thumbnails.select_stored(ids)]
        key = Rule.parse_json(row["frozen"]).identity
        rows.append(
            {
                "slice": row["slice"],
                "title": row["title"],
                "key": key,
                "n": len(ids),
                "images": places,
            }
        )
    return rows


def _build_image_rows(
    page: ReportPage, image_ids: Sequence[str], attributes: pd.DataFrame
) -> list[list[Any]]:
    index = {name: k for k, name in enumerate(page.class_names)}
    images, flips = page.images.loc[list(image_ids)], page.flips.reindex(list(image_ids))
    values = [
        [float(f"{v:.3g}") if v == v else None for v in row]
        for row in attributes.reindex(list(image_ids)).to_numpy(float)
    ]
    taken = ["" if pd.isna(t) else f"{t:%Y-%m-%d %H:%M}" for t in images["captured_at"]]
    known = [
        [index.get(x, -1) for x in column]
        for column in (images["label"], *(flips[c] for c in ("before", "control", "after")))
    ]
    shares = [
        [round(float(p), 4) if p == p else None for p in flips[c]] for c in ("p_before", "p_after")
    ]
    change = ["" if pd.isna(c) else str(c) for c in flips["change"]]
    columns = [
        images["path"],
        *known,
        *shares,
        change,
        images["group"],
        taken,
        images["split"],
        values,
    ]
    columns += [[_list_top_predictions(page, i) for i in image_ids], image_ids]
    return [list(row) for row in zip(*columns, strict=True)]
