"""report: joins the sections into one offline page, and says the same in `summary`.

The schema of `summary` is `pipeline.sections.summary_schema.Summary` (see `reports/README.md`). Beside the page in
`html` lie the tables that it draws from: `photos.parquet`, `predictions.parquet` and `failures.csv`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline import plugins
from pipeline.attributes import measure
from pipeline.config import Settings
from pipeline.contracts import Context, Made
from pipeline.evidence import review
from pipeline.remedies import describe, treat
from pipeline.sections import Page, Preview
from pipeline.sections.page import render
from pipeline.sections.sheets import informative
from pipeline.sections.summary import summarise
from pipeline.sections.tables import failures, photo_table
from pipeline.sections.thumbnails import Photos, rows_of

_TEXT = 420  # bytes of text that come with a photo, at first guess
_TRIES = 6
_COPIES = 6  # treated copies shown of one original
_PREVIEWS = 12  # slices and recipes shown, at most
_MEASURED = 150  # photos measured of a slice and of training, at most


class Config(Settings):
    """Settings of the page."""

    photos: Literal["full", "blurred", "none"] = Field("full", description="how photos appear: they may show people")
    max_bytes: int = Field(
        10_000_000, ge=200_000, description="size of the page at most; the most informative photos stay"
    )
    contact: int = Field(24, ge=1, le=200, description="photos on the contact sheet of a slice")


def fingerprint(config: Config, run: Path, before: str | None) -> str:
    """What this stage takes from outside the run: reviewers' decisions. Part of the stage's key."""
    return review.digest(run.parent)


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


def _quartiles(pixels: NDArray[np.uint8], who: str) -> pd.DataFrame:
    table = measure(pixels).quantile([0.25, 0.5, 0.75]).T
    return table.set_axis([f"{who}_low", f"{who}_mid", f"{who}_high"], axis=1)


def _copies(photo: NDArray[np.uint8], remedy: str, low: float, high: float, seed: int) -> list[tuple[str, Any]]:
    """Copies of a photo at doses spread over the plan's range, each with its dose in words; no two look the same."""
    copies: dict[bytes, tuple[str, Any]] = {}
    for k, dose in enumerate(np.linspace(low, high, _COPIES).tolist()):
        copy = treat(remedy, photo[None], dose, dose, seed + k)[0]
        copies.setdefault(copy.tobytes(), (describe(remedy, dose), copy))
    return list(copies.values())


def _drawn_copies(simulated: pd.DataFrame, pixels: NDArray[np.uint8]) -> list[tuple[str, Any]]:
    """Some simulated photos in the order of their doses, each with its dose and class in words."""
    some = zip(simulated["condition"], simulated["dose"], simulated["label"], pixels, strict=True)
    told = sorted(islice(some, _COPIES), key=lambda row: row[1])
    return [(f"{describe(condition, dose)}, {label}", photo) for condition, dose, label, photo in told]


def previews(made: dict[str, Any], seed: int) -> Iterator[Preview]:
    """What the plan makes of one training photo for each slice and remedy, and how treated photos compare with the
    slice; photos are drawn with `seed`."""
    rows, pixels, members = rows_of(made["images"]["image_id"]), made["pixels"], made["membership"]
    recipes = made["plan"].groupby(["slice", "remedy", "dose_low", "dose_high", "simulator"], dropna=False)
    for (name, remedy, low, high, simulator), part in islice(recipes, _PREVIEWS):
        rng = np.random.default_rng(seed)
        chosen = part.iloc[rng.permutation(len(part))[:_MEASURED]]
        inside = np.array([rows[i] for i in members.loc[members["slice"] == name, "image_id"] if i in rows], np.intp)
        inside = rng.permutation(inside)[:_MEASURED]
        training = np.asarray(pixels[[rows[i] for i in chosen["image_id"]]])
        measured = {"slice": np.asarray(pixels[inside]), "training": training}
        drawn = "" if pd.isna(simulator) else str(simulator)
        if drawn:
            shown = rng.permutation(np.flatnonzero((made["simulated"]["slice"] == name).to_numpy()))[:_MEASURED]
            measured["treated"] = np.asarray(made["simulated_pixels"][shown])
            copies = _drawn_copies(made["simulated"].iloc[shown], measured["treated"])
        else:
            measured["treated"] = treat(str(remedy), training, low, high, seed)
            copies = _copies(training[0], str(remedy), low, high, seed)
        profile = pd.concat([_quartiles(photos, who) for who, photos in measured.items()], axis=1)
        table = profile.dropna().rename_axis("attribute").reset_index()
        n = {who: len(photos) for who, photos in measured.items()}
        yield Preview(str(name), str(remedy), str(chosen["image_id"].iloc[0]), copies, table, n, drawn)


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
    embeddings: NDArray[np.float32],
    metrics: dict[str, Any],
    label_issues: pd.DataFrame,
    probed: pd.DataFrame,
    dose_response: pd.DataFrame,
    responses: NDArray[np.int16],
    shortcuts: pd.DataFrame,
    slices: pd.DataFrame,
    membership: pd.DataFrame,
    explanations: pd.DataFrame,
    causes: pd.DataFrame,
    plan: pd.DataFrame,
    simulated: pd.DataFrame,
    simulated_pixels: NDArray[np.uint8],
    policy: dict[str, Any],
    comparison: dict[str, Any],
    flips: pd.DataFrame,
    answers: NDArray[np.float32],
    saliency: NDArray[np.uint8],
    verdict: dict[str, Any],
    drift: dict[str, Any],
    followed: dict[str, Any],
) -> Made:
    """Write the page and its tables into `html`, and build `summary`."""
    given = locals()
    made = {name: value for name, value in given.items() if name not in ("config", "context")}
    photos = Photos(pixels, rows_of(images["image_id"]), config.photos)
    page = Page(
        made,
        context.run_id,
        context.seed,
        photos,
        context.facts,
        context.notes,
        config.contact,
        list(previews(made, context.seed)),
        review.read(context.home).model_dump(mode="json"),
    )
    photos.choose(informative(page))
    folder: Path = context.scratch / "html"
    folder.mkdir(parents=True, exist_ok=True)
    html = fitted(page, plugins.names("sections"), config.max_bytes)
    size = len(html.encode())
    if size > config.max_bytes:
        context.note(f"the page takes {size:,} bytes even without photos, more than report.max_bytes allows")
    (folder / "index.html").write_text(html, encoding="utf-8")
    table = photo_table(page)
    table.to_parquet(folder / "photos.parquet", index=False)
    failures(table).to_csv(folder / "failures.csv", index=False)
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    return {"html": folder, "summary": summarise(page)}
