"""The page and the summary of an analysis, made of the report's sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from pipeline import __version__
from pipeline.contracts import StageContext
from pipeline.domain.statuses import SliceStatus
from pipeline.report.figures.contact_sheets import rank_informative_images
from pipeline.report.figures.thumbnails import ThumbnailStore, index_rows
from pipeline.report.page_rendering import render_document, render_sections
from pipeline.report.report_page import ReportPage, unwrap_row
from pipeline.report.reviewing.page_payload import build_payload
from pipeline.report.sentences.number_format import embed_json
from pipeline.report.sentences.slice_sentences import add_sentences
from pipeline.statistics.classification.prediction_changes import (
    build_prediction_changes,
    stack_probabilities,
)
from pipeline.statistics.model_comparison import ModelComparison, ModelOutput

SCHEMA_VERSION = 1
SECTION_NAMES = (
    "failure_slices",
    "shortcut_marks",
    "weak_classes",
    "confusion_matrix",
    "per_class_metrics",
    "changed_images",
    "data_quality",
)
MAX_IMAGE_BYTES = 8_000_000  # bytes of images on the page
_TEXT_BYTES_PER_IMAGE = 300  # bytes of text that come with an image


class SliceSummary(BaseModel):
    """One slice as in `slices.parquet`, with the evidence for its cause, and its images."""

    slice: str
    rank: int
    confirmed: bool
    status: str = Field(description="confirmed | not confirmed | not testable")
    words: str
    cause: str | None
    common: str | None = Field(
        description="what its failing images share, where it is confirmed and has no cause"
    )
    confidence: str = Field(
        description="proved by intervention | consistent with | suspected | unnamed"
    )
    strength_low: float | None
    strength_high: float | None
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


class AnalysisSummary(BaseModel):
    """The content of the `summary.json` of an analysis. Shares are in [0, 1]; null is unknown."""

    version: int = Field(SCHEMA_VERSION, alias="schema")
    nightshift: str
    seed: int
    images: int
    groups: int
    classes: list[str]
    folds: dict[str, int] = Field(description="images in each fold")
    folds_drawn: bool = Field(description="whether the folds were drawn here, not given")
    probed: int = Field(
        description="images on which interventions were tried (0: no model was given)"
    )
    metrics: dict[str, Any]
    slices: list[SliceSummary]
    shortcuts: list[dict[str, Any]] = Field(
        description="marks the model may lean on; none without a model"
    )
    label_issues: list[dict[str, Any]]
    duplicates: int
    notes: list[str]


def _build_empty_artifacts(
    comparison: ModelComparison, image_ids: pd.Series[Any]
) -> dict[str, Any]:
    """Return empty artifacts of remedies and comparison, so that the sections can be rendered."""
    columns = [
        "image_id",
        "slice",
        "remedy",
        "strength_low",
        "strength_high",
        "probability",
        "simulator",
    ]
    return {
        "flips": build_prediction_changes(image_ids, comparison),
        "answers": stack_probabilities(comparison),
        "saliency": np.zeros((0, 2, 1, 1), np.uint8),
        "comparison": {"val": None, "test": None, "opening": None, "power": []},
        "policy": {"corrections": [], "decline": [], "refused": [], "prescriptions": []},
        "plan": pd.DataFrame(columns=columns),
        "simulated": pd.DataFrame(),
        "simulated_pixels": np.zeros((0, 1, 1, 3), np.uint8),
        "rejected": pd.DataFrame(columns=["path", "reason"], dtype="str"),
    }


def _render_lead(page: ReportPage, summary: dict[str, Any]) -> Markup:
    confirmed_count = sum(row["confirmed"] for row in summary["slices"])
    text = (
        f"{summary['images']:,} images, {summary['metrics']['accuracy']['value']:.1%} of them "
        f"right; {len(summary['slices'])} slices tested, {confirmed_count or 'none'} confirmed."
    )
    if not summary["probed"]:
        text += " No model was given, so nothing was probed: causes are suspected only."
    notes = Markup("").join(Markup("<li>{}</li>").format(note) for note in summary["notes"])
    return Markup("<h1>Where this model fails</h1><p>{}</p><ul>{}</ul>").format(text, notes)


def render_analysis(page: ReportPage, summary: dict[str, Any]) -> str:
    """Return one offline page with the sections of an analysis."""
    sections = render_sections(page, SECTION_NAMES)
    return render_document(
        f"Analysis of {page.run_id}, Nightshift",
        page.run_id,
        sections=sections,
        data=embed_json(build_payload(page)),
        scripts=("script.js",),
        introduction=_render_lead(page, summary),
        version=__version__,
    )


def build_analysis_page(
    artifacts: Mapping[str, Any],
    logits: NDArray[np.float32],
    context: StageContext,
    summary: dict[str, Any],
) -> str:
    """Return the HTML of an analysis.

    Args:
        artifacts: the artifacts by name.
        logits: float32 [N, classes], in the order of `images`.
        context: context of the analysis.
        summary: its summary.
    """
    images, names = artifacts["images"], list(artifacts["classes"]["names"])
    labels = pd.Index(names).get_indexer(pd.Index(images["label"]))
    comparison = ModelComparison(
        labels, images["group"].to_numpy(dtype=str), names, [ModelOutput("before", None, logits)]
    )
    thumbnails = ThumbnailStore(artifacts["pixels"], index_rows(images["image_id"]))
    page_artifacts = {**artifacts, **_build_empty_artifacts(comparison, images["image_id"])}
    page = ReportPage(
        page_artifacts, context.run_id, context.seed, thumbnails, context.run_facts, context.notes
    )
    thumbnails.set_order(rank_informative_images(page))
    thumbnails.fit_budget(MAX_IMAGE_BYTES, _TEXT_BYTES_PER_IMAGE)
    return render_analysis(page, summary)


def build_analysis_summary(
    artifacts: Mapping[str, Any], context: StageContext, are_folds_drawn: bool
) -> dict[str, Any]:
    """Return the content of `summary.json`, as `AnalysisSummary` defines it.

    Args:
        artifacts: the artifacts by name.
        context: context of the analysis.
        are_folds_drawn: whether the folds were drawn here, not given.
    """
    images, splits = artifacts["images"], artifacts["splits"]
    members = {
        str(name): sorted(rows["image_id"])
        for name, rows in artifacts["membership"].groupby("slice")
    }
    rows = [unwrap_row(row) for row in add_sentences(artifacts["explanations"]).to_dict("records")]
    slices = [
        SliceSummary(
            **row,
            confirmed=row["status"] == SliceStatus.CONFIRMED,
            image_ids=members.get(row["slice"], []),
        )
        for row in rows
    ]
    analysis = AnalysisSummary(
        schema=SCHEMA_VERSION,
        nightshift=__version__,
        seed=context.seed,
        images=len(images),
        groups=int(images["group"].nunique()),
        classes=list(artifacts["classes"]["names"]),
        folds={str(k): int(v) for k, v in sorted(splits["fold"].value_counts().items())},
        folds_drawn=are_folds_drawn,
        probed=len(artifacts["validation_set"].probed_rows),
        metrics=artifacts["metrics"],
        slices=slices,
        shortcuts=[unwrap_row(row) for row in artifacts["shortcuts"].to_dict("records")],
        label_issues=[unwrap_row(row) for row in artifacts["label_issues"].to_dict("records")],
        duplicates=len(artifacts["duplicates"]),
        notes=list(context.notes),
    )
    return analysis.model_dump(mode="json", by_alias=True)
