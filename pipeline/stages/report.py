"""report: joins the sections into one offline page, and says the same in `summary`.

The schema of `summary` is `pipeline.sections.summary.Summary` (see `reports/README.md`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline import plugins
from pipeline.config import Settings
from pipeline.contracts import Context, Made
from pipeline.sections import Page
from pipeline.sections.page import render
from pipeline.sections.sheets import informative
from pipeline.sections.summary import summarise
from pipeline.sections.thumbnails import Photos, rows_of

_TEXT = 300  # bytes of text that come with a photo, at first guess
_TRIES = 6


class Config(Settings):
    """Settings of the page."""

    photos: Literal["full", "blurred", "none"] = Field("full", description="how photos appear: they may show people")
    max_bytes: int = Field(
        10_000_000, ge=200_000, description="size of the page at most; the most informative photos stay"
    )
    contact: int = Field(24, ge=1, le=200, description="photos on the contact sheet of a slice")


def fitted(page: Page, names: tuple[str, ...], max_bytes: int) -> str:
    """The page with as many photos as `max_bytes` allows, most informative first."""
    budget = int(max_bytes * 0.8)
    for _ in range(_TRIES):
        page.photos.fit(budget, _TEXT)
        html = render(page, names)
        over = len(html.encode()) - max_bytes
        if over <= 0:
            return html
        budget -= over + over // 10 + 1_000
    page.photos.fit(0, _TEXT)
    return render(page, names)


def run(
    config: Config,
    context: Context,
    *,
    images: pd.DataFrame,
    rejected: pd.DataFrame,
    pixels: NDArray[np.uint8],
    classes: dict[str, Any],
    attributes: pd.DataFrame,
    splits: pd.DataFrame,
    duplicates: pd.DataFrame,
    history: pd.DataFrame,
    training: dict[str, Any],
    predictions: pd.DataFrame,
    metrics: dict[str, Any],
    label_issues: pd.DataFrame,
    probed: pd.DataFrame,
    dose_response: pd.DataFrame,
    responses: NDArray[np.int16],
    slices: pd.DataFrame,
    membership: pd.DataFrame,
    explanations: pd.DataFrame,
    causes: pd.DataFrame,
    plan: pd.DataFrame,
    policy: dict[str, Any],
    comparison: dict[str, Any],
    flips: pd.DataFrame,
    saliency: NDArray[np.uint8],
    verdict: dict[str, Any],
) -> Made:
    """Write `html/index.html` and build `summary`."""
    made = {
        "images": images,
        "rejected": rejected,
        "classes": classes,
        "attributes": attributes,
        "splits": splits,
        "duplicates": duplicates,
        "history": history,
        "training": training,
        "predictions": predictions,
        "metrics": metrics,
        "label_issues": label_issues,
        "probed": probed,
        "dose_response": dose_response,
        "responses": responses,
        "slices": slices,
        "membership": membership,
        "explanations": explanations,
        "causes": causes,
        "plan": plan,
        "policy": policy,
        "comparison": comparison,
        "flips": flips,
        "saliency": saliency,
        "verdict": verdict,
    }
    photos = Photos(pixels, rows_of(images["image_id"]), config.photos)
    page = Page(made, context.run_id, context.seed, photos, context.facts, context.notes, config.contact)
    photos.choose(informative(page))
    folder: Path = context.scratch / "html"
    folder.mkdir(parents=True, exist_ok=True)
    html = fitted(page, plugins.names("sections"), config.max_bytes)
    size = len(html.encode())
    if size > config.max_bytes:
        context.note(f"the page takes {size:,} bytes even without photos, more than report.max_bytes allows")
    (folder / "index.html").write_text(html, encoding="utf-8")
    return {"html": folder, "summary": summarise(page)}
