"""Stage `report`: render the sections into one offline page, and summarize them for machines.

The schema of `summary` is `pipeline.report.summary_schema.RunSummary` (see `reports/README.md`).
Beside the page, `html` holds the tables that it draws from, and a summary in Markdown with
pictures (`pipeline.report.exports`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Unpack

from pydantic import Field

from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.report.exports.export_files import write_export_files
from pipeline.report.figures.augmentation_previews import build_previews
from pipeline.report.figures.contact_sheets import rank_informative_images
from pipeline.report.figures.original_images import list_original_sources, order_enlarged_images
from pipeline.report.figures.thumbnails import ThumbnailStore, index_rows
from pipeline.report.page_rendering import render_page
from pipeline.report.report_artifacts import ReportArtifacts
from pipeline.report.report_page import ReportPage
from pipeline.report.run_summary import build_summary
from pipeline.report.sections import list_sections
from pipeline.storage import review_decisions

TEXT_BYTES_PER_IMAGE = 420
"""First estimate of the text that comes with an image; the size of the page corrects it."""
IMAGE_SHARE = 0.8
"""Share of the page's size that images get at first; the rest is text, tables and scripts."""
MAX_RENDER_ATTEMPTS = 6
"""Attempts with fewer images each; the page is then rendered without any."""


class Config(StageSettings):
    """Settings of the page."""

    image_mode: Literal["full", "blurred", "none"] = Field(
        "full", description="how images appear on the page; they may show people"
    )
    max_bytes: int = Field(
        10_000_000,
        ge=300_000,
        description="size of the page at most; the most informative images are kept",
    )
    contact_sheet_images: int = Field(
        24, ge=1, le=200, description="images on the contact sheet of a slice"
    )


def run(
    config: Config, context: StageContext, **artifacts: Unpack[ReportArtifacts]
) -> StageOutputs:
    """Return `html`, the folder of the page and its tables, and `summary`."""
    images, pixels = artifacts["images"], artifacts["pixels"]
    sources = list_original_sources(images, pixels.shape[1])
    row_numbers = index_rows(images["image_id"])
    thumbnails = ThumbnailStore(pixels, row_numbers, config.image_mode, sources)
    page = ReportPage(
        artifacts,
        context.run_id,
        context.seed,
        thumbnails,
        context.run_facts,
        context.notes,
        config.contact_sheet_images,
        list(build_previews(artifacts, context.seed)),
        review_decisions.read_decisions(context.runs_folder).model_dump(mode="json"),
    )
    ranked = rank_informative_images(page)
    failing = page.flips.index[page.flips["change"] != "still right"]
    thumbnails.set_order(ranked, order_enlarged_images(ranked, failing))
    html = _render_within_limit(page, config.max_bytes)
    size = len(html.encode())
    if size > config.max_bytes:
        context.add_note(
            f"the page takes {size:,} bytes even without images, more than report.max_bytes allows"
        )
    folder = context.scratch_folder / "html"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(html, encoding="utf-8")
    summary = build_summary(page)
    write_export_files(page, summary, folder)
    return {"html": folder, "summary": summary}


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """Return a hash of the reviewers' decisions, a part of the stage's key.

    Args:
        config: settings of the stage.
        run_path: folder of the run.
        earlier_fingerprint: unused; new decisions change the page.
    """
    return review_decisions.hash_decisions(run_path.parent)


def _render_within_limit(page: ReportPage, max_bytes: int) -> str:
    """Return the page with the most informative images that fit into it."""
    budget = int(max_bytes * IMAGE_SHARE)
    for _ in range(MAX_RENDER_ATTEMPTS):
        page.thumbnails.fit_budget(budget, TEXT_BYTES_PER_IMAGE)
        html = render_page(page, list_sections())
        excess = len(html.encode()) - max_bytes
        if excess <= 0:
            return html
        # a tenth more, and a little, since fewer images also mean less text
        budget -= excess + excess // 10 + 1_000
    page.thumbnails.fit_budget(0, TEXT_BYTES_PER_IMAGE)
    return render_page(page, list_sections())
