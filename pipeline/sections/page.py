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
from pipeline.evidence.review import slice_key
from pipeline.sections import Page, draw
from pipeline.sections.embedding import points
from pipeline.sections.matrix import WHOLE, Counts, shown_classes
from pipeline.sections.slice_view import headline
from pipeline.sections.thumbnails import encode_heat
from pipeline.sections.words import embed, title

_HERE = Path(__file__).parent
_TAKEN = ["hour", "day"]  # a photo's window says when it was taken
COLUMNS = (
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


def asset(name: str) -> Markup:
    """The style sheet or script of that name, as it stands in the page (they hold no `</`)."""
    return Markup((_HERE / name).read_text(encoding="utf-8"))


def policy(style: str, script: str) -> str:
    """A Content-Security-Policy that lets in this style, this script and inline pictures, and nothing else."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def frame(heading: str, run_id: str, **parts: Any) -> str:
    """The document around its parts: sections (name, title, own_heading, body) or lead, data, home, version."""
    style, script = asset("style.css"), asset("script.js")
    values = {"sections": [], "lead": Markup(""), "data": "", "home": "", "version": ""} | parts
    return str(
        draw(
            "page.html",
            title=heading,
            run_id=run_id,
            style=style,
            script=script,
            policy=policy(style, script),
            **values,
        )
    )


def render(page: Page, names: Sequence[str]) -> str:
    """The page with the sections of these names in this order."""
    sections = []
    for name in names:
        module, body = plugins.module("sections", name), plugins.load("sections", name)(page)
        if body:
            heading = getattr(module, "TITLE", title(name).capitalize())
            own = bool(getattr(module, "OWN_HEADING", False))
            sections.append({"name": name, "title": heading, "own_heading": own, "body": body})
    word = "Promoted" if page["verdict"]["promoted"] else "Not promoted"
    version = str(page.facts.get("versions", {}).get("nightshift", ""))
    return frame(
        f"{word}: {page.run_id}, Nightshift",
        page.run_id,
        sections=sections,
        data=embed(payload(page)),
        home="../index.html",
        version=version,
    )


def payload(page: Page) -> dict[str, Any]:
    """What the script draws from: classes, the photos on the page as rows of `COLUMNS`, and their thumbnails."""
    flips, photos = page.flips, list(page.photos.position)
    attributes = page["attributes"].set_index("image_id").select_dtypes("number").drop(columns=_TAKEN, errors="ignore")
    return {
        "classes": page.classes,
        "shown": shown_classes(page.counts),
        "changed": page.changed,
        "columns": COLUMNS,
        "photos": _rows(page, photos, attributes),
        "thumbs": page.photos.hidden(),
        "attributes": [title(str(name)) for name in attributes.columns],
        "slices": _slices(page),
        "counts": _sparse(*page.counts) if len(page.classes) > WHOLE else [],
        "heat": _heat(page),
        "map": points(page),
        "run": page.run_id,
        "reviews": page.reviews,
        "totals": {str(k): int(v) for k, v in flips["change"].value_counts().items()},
    }


def _sparse(before: Counts, after: Counts) -> list[list[int]]:
    """[true, predicted, before, after] of every cell of the whole matrix that holds a photo."""
    cells = zip(*np.nonzero(before + after), strict=True)
    return [[int(i), int(j), int(before[i, j]), int(after[i, j])] for i, j in cells]


def _heat(page: Page) -> dict[int, list[str]]:
    """Heat maps before and after as base64, by the photo's place on the page."""
    if page.photos.mode == "none":
        return {}
    table, maps = page.flips[page.flips["saliency"] >= 0], page["saliency"]
    known = [(i, k) for i, k in zip(table.index, table["saliency"], strict=True) if i in page.photos]
    return {page.photos.position[i]: [encode_heat(np.asarray(heat)) for heat in maps[k]] for i, k in known}


def _top(page: Page, image_id: str) -> list[list[int]]:
    """The likeliest classes before and after: class index and probability in thousandths, by turns."""
    return [[x for k, p in ranked for x in (k, round(1000 * p))] for ranked in page.top.get(image_id, [])]


def _slices(page: Page) -> list[dict[str, Any]]:
    rows = []
    for row in page.confirmed:
        ids = page.members.get(row["slice"], [])
        places = [page.photos.position[i] for i in page.photos.known(ids)]
        words = headline(row["words"])[0]
        key = slice_key(row["rule"])
        rows.append({"slice": row["slice"], "title": words, "key": key, "n": len(ids), "photos": places})
    return rows


def _rows(page: Page, photos: Sequence[str], attributes: pd.DataFrame) -> list[list[Any]]:
    index = {name: k for k, name in enumerate(page.classes)}
    images, flips = page.images.loc[list(photos)], page.flips.reindex(list(photos))
    values = [
        [float(f"{v:.3g}") if v == v else None for v in row] for row in attributes.reindex(list(photos)).to_numpy(float)
    ]
    taken = ["" if pd.isna(t) else f"{t:%Y-%m-%d %H:%M}" for t in images["captured_at"]]
    known = [
        [index.get(x, -1) for x in column]
        for column in (images["label"], *(flips[c] for c in ("before", "control", "after")))
    ]
    shares = [[round(float(p), 4) if p == p else None for p in flips[c]] for c in ("p_before", "p_after")]
    change = ["" if pd.isna(c) else str(c) for c in flips["change"]]
    columns = [images["path"], *known, *shares, change, images["group"], taken, images["split"], values]
    columns += [[_top(page, i) for i in photos], photos]
    return [list(row) for row in zip(*columns, strict=True)]
