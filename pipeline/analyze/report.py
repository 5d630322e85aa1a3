"""The page and the summary of an analysis, drawn by the report's own sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from pipeline import __version__, plugins
from pipeline.contracts import Context
from pipeline.evidence.flips import answers_of, flips_of
from pipeline.evidence.trial import Judged, Trial
from pipeline.sections import Page, plain
from pipeline.sections.page import frame, payload
from pipeline.sections.sheets import informative
from pipeline.sections.thumbnails import Photos, rows_of
from pipeline.sections.words import embed

VERSION = 1
SECTIONS = ("slices", "shortcuts", "confusion", "classes", "photos", "health")
ROOM = 8_000_000  # bytes of photos on the page
_TEXT = 300  # bytes of text that come with a photo


class Slice(BaseModel):
    """One slice, as in `slices.parquet`, with how its cause is known and its photos."""

    slice: str
    rank: int
    confirmed: bool
    status: str = Field(description="confirmed | not confirmed | not testable")
    words: str
    cause: str | None
    common: str | None = Field(description="what its failing photos share, where it is confirmed and has no cause")
    confidence: str = Field(description="proved by intervention | consistent with | suspected | unnamed")
    dose_low: float | None
    dose_high: float | None
    rule: str
    n: int
    groups: int
    failures: int
    error: float
    excess: float
    low: float
    high: float
    q_value: float | None
    groups_needed: int | None
    image_ids: list[str]


class Analysis(BaseModel):
    """The whole of `summary.json` that `analyze` writes. Shares are in [0, 1]; null is unknown."""

    version: int = Field(VERSION, alias="schema")
    nightshift: str
    seed: int
    images: int
    groups: int
    classes: list[str]
    folds: dict[str, int] = Field(description="photos in each fold")
    folds_drawn: bool = Field(description="whether the folds were drawn here, not given")
    probed: int = Field(description="photos on which interventions were tried (0: no model was given)")
    metrics: dict[str, Any]
    slices: list[Slice]
    shortcuts: list[dict[str, Any]] = Field(description="marks the model may lean on; none without a model")
    label_issues: list[dict[str, Any]]
    duplicates: int
    notes: list[str]


def _nothing_repaired(trial: Trial, image_ids: pd.Series[Any]) -> dict[str, Any]:
    """The artifacts of repair and comparison, of which an analysis has none, so that the sections can be drawn."""
    columns = ["image_id", "slice", "remedy", "dose_low", "dose_high", "probability", "simulator"]
    return {
        "flips": flips_of(image_ids, trial),
        "answers": answers_of(trial),
        "saliency": np.zeros((0, 2, 1, 1), np.uint8),
        "comparison": {"val": None, "test": None, "opening": None, "power": []},
        "policy": {"corrections": [], "decline": [], "refused": [], "prescriptions": []},
        "plan": pd.DataFrame(columns=columns),
        "simulated": pd.DataFrame(),
        "simulated_pixels": np.zeros((0, 1, 1, 3), np.uint8),
        "rejected": pd.DataFrame(columns=["path", "reason"], dtype="str"),
    }


def _lead(page: Page, summary: dict[str, Any]) -> Markup:
    confirmed = [s for s in summary["slices"] if s["confirmed"]]
    how = f"{len(confirmed)} confirmed" if confirmed else "none confirmed"
    known = "" if summary["probed"] else " No model was given, so nothing was probed: causes are suspected only."
    text = (
        f"{summary['images']:,} photos, {summary['metrics']['accuracy']['value']:.1%} of them right; "
        f"{len(summary['slices'])} slices tested, {how}.{known}"
    )
    notes = Markup("").join(Markup("<li>{}</li>").format(note) for note in summary["notes"])
    return Markup("<h1>Where this model fails</h1><p>{}</p><ul>{}</ul>").format(text, notes)


def render(page: Page, summary: dict[str, Any]) -> str:
    """One offline page with the sections of an analysis."""
    sections = []
    for name in SECTIONS:
        module, body = plugins.module("sections", name), plugins.load("sections", name)(page)
        if body:
            own = bool(getattr(module, "OWN_HEADING", False))
            sections.append({"name": name, "title": module.TITLE, "own_heading": own, "body": body})
    heading, data = f"Analysis of {page.run_id}, Nightshift", embed(payload(page))
    return frame(heading, page.run_id, sections=sections, data=data, lead=_lead(page, summary), version=__version__)


def make_page(made: Mapping[str, Any], logits: NDArray[np.float32], context: Context, summary: dict[str, Any]) -> str:
    """The HTML of an analysis. made: the artifacts by name; logits float32 [N, C] in the order of `images`."""
    images, names = made["images"], list(made["classes"]["names"])
    truth = pd.Index(names).get_indexer(pd.Index(images["label"]))
    trial = Trial(truth, images["group"].to_numpy(dtype=str), names, [Judged("before", None, logits)])
    photos = Photos(made["pixels"], rows_of(images["image_id"]))
    every = {**made, **_nothing_repaired(trial, images["image_id"])}
    page = Page(every, context.run_id, context.seed, photos, context.facts, context.notes)
    photos.choose(informative(page))
    photos.fit(ROOM, _TEXT)
    return render(page, summary)


def summarise(made: Mapping[str, Any], context: Context, folds_drawn: bool) -> dict[str, Any]:
    """`summary.json`: what `Analysis` says."""
    images, splits = made["images"], made["splits"]
    members = {str(name): sorted(rows["image_id"]) for name, rows in made["membership"].groupby("slice")}
    rows = [plain(row) for row in made["explanations"].to_dict("records")]
    slices = [
        Slice(**row, confirmed=row["status"] == "confirmed", image_ids=members.get(row["slice"], [])) for row in rows
    ]
    analysis = Analysis(
        schema=VERSION,
        nightshift=__version__,
        seed=context.seed,
        images=len(images),
        groups=int(images["group"].nunique()),
        classes=list(made["classes"]["names"]),
        folds={str(k): int(v) for k, v in sorted(splits["fold"].value_counts().items())},
        folds_drawn=folds_drawn,
        probed=len(made["probed"]),
        metrics=made["metrics"],
        slices=slices,
        shortcuts=[plain(row) for row in made["shortcuts"].to_dict("records")],
        label_issues=[plain(row) for row in made["label_issues"].to_dict("records")],
        duplicates=len(made["duplicates"]),
        notes=list(context.notes),
    )
    return analysis.model_dump(mode="json", by_alias=True)
