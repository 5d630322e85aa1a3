"""Stage `report`: write the offline page, and the same as `summary`.

The schema of `summary` is `pipeline.report.summary_schema` (see `reports/README.md`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipeline.attributes import measure_images
from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.remedies import apply_remedy, describe_intervention
from pipeline.report.contact_sheets import rank_informative_images
from pipeline.report.image_tables import build_image_table, select_failures
from pipeline.report.page_rendering import render_page
from pipeline.report.report_artifacts import ReportArtifacts
from pipeline.report.report_page import AugmentationPreview, ReportPage
from pipeline.report.run_summary import build_summary
from pipeline.report.sections import list_sections
from pipeline.report.thumbnails import ThumbnailStore, index_rows
from pipeline.storage import review_decisions

_TEXT_BYTES_PER_IMAGE = 420  # bytes of text that come with a image, at first guess
_MAX_RENDER_ATTEMPTS = 6
_MAX_COPIES = 6  # treated copies shown of one original
_MAX_PREVIEWS = 12  # slices and recipes shown, at most
_MAX_MEASURED_IMAGES = 150  # images measured of a slice and of training, at most


class Config(StageSettings):
    """Settings of the page."""

    image_mode: Literal["full", "blurred", "none"] = Field(
        "full", description="how images appear: they may show people"
    )
    max_bytes: int = Field(
        10_000_000,
        ge=200_000,
        description="size of the page at most; the most informative images stay",
    )
    contact_sheet_images: int = Field(
        24, ge=1, le=200, description="images on the contact sheet of a slice"
    )


def fingerprint_external_inputs(
    config: Config, run_path: Path, earlier_fingerprint: str | None
) -> str:
    """What this stage takes from outside the run: reviewers' decisions. Part of the stage's key."""
    return review_decisions.hash_decisions(run_path.parent)


def render_within_limit(page: ReportPage, section_names: tuple[str, ...], max_bytes: int) -> str:
    """The page with as many images as `max_bytes` allows, most informative first."""
    budget = int(max_bytes * 0.8)
    for _ in range(_MAX_RENDER_ATTEMPTS):
        page.thumbnails.fit_budget(budget, _TEXT_BYTES_PER_IMAGE)
        html = render_page(page, section_names)
        over = len(html.encode()) - max_bytes
        if over <= 0:
            return html
        budget -= over + over // 10 + 1_000
    page.thumbnails.fit_budget(0, _TEXT_BYTES_PER_IMAGE)
    return render_page(page, section_names)


def _compute_quartiles(pixels: NDArray[np.uint8], column_prefix: str) -> pd.DataFrame:
    table = measure_images(pixels).quantile([0.25, 0.5, 0.75]).T
    return table.set_axis(
        [f"{column_prefix}_low", f"{column_prefix}_mid", f"{column_prefix}_high"], axis=1
    )


def _build_treated_copies(
    image: NDArray[np.uint8], remedy: str, low: float, high: float, seed: int
) -> list[tuple[str, Any]]:
    """Return different copies of an image at strengths spread over the plan's range, with captions."""
    copies: dict[bytes, tuple[str, Any]] = {}
    for k, strength in enumerate(np.linspace(low, high, _MAX_COPIES).tolist()):
        copy = apply_remedy(remedy, image[None], strength, strength, seed + k)[0]
        copies.setdefault(copy.tobytes(), (describe_intervention(remedy, strength), copy))
    return list(copies.values())


def _build_simulated_copies(
    simulated: pd.DataFrame, pixels: NDArray[np.uint8]
) -> list[tuple[str, Any]]:
    """Return some simulated images by strength, each with its strength and class as caption."""
    some = zip(
        simulated["condition"], simulated["strength"], simulated["label"], pixels, strict=True
    )
    told = sorted(islice(some, _MAX_COPIES), key=lambda row: row[1])
    return [
        (f"{describe_intervention(condition, strength)}, {label}", image)
        for condition, strength, label, image in told
    ]


def build_previews(artifacts: Mapping[str, Any], seed: int) -> Iterator[AugmentationPreview]:
    """Yield the plan's effect on one training image for each slice and remedy.

    Treated images are compared with the slice; images are drawn with `seed`.
    """
    rows, pixels, members = (
        index_rows(artifacts["images"]["image_id"]),
        artifacts["pixels"],
        artifacts["membership"],
    )
    recipes = artifacts["plan"].groupby(
        ["slice", "remedy", "strength_low", "strength_high", "simulator"], dropna=False
    )
    for (name, remedy, low, high, simulator), part in islice(recipes, _MAX_PREVIEWS):
        rng = np.random.default_rng(seed)
        chosen = part.iloc[rng.permutation(len(part))[:_MAX_MEASURED_IMAGES]]
        inside = np.array(
            [rows[i] for i in members.loc[members["slice"] == name, "image_id"] if i in rows],
            np.intp,
        )
        inside = rng.permutation(inside)[:_MAX_MEASURED_IMAGES]
        training = np.asarray(pixels[[rows[i] for i in chosen["image_id"]]])
        measured = {"slice": np.asarray(pixels[inside]), "training": training}
        drawn = "" if pd.isna(simulator) else str(simulator)
        if drawn:
            shown = rng.permutation(
                np.flatnonzero((artifacts["simulated"]["slice"] == name).to_numpy())
            )[:_MAX_MEASURED_IMAGES]
            measured["treated"] = np.asarray(artifacts["simulated_pixels"][shown])
            copies = _build_simulated_copies(
                artifacts["simulated"].iloc[shown], measured["treated"]
            )
        else:
            measured["treated"] = apply_remedy(str(remedy), training, low, high, seed)
            copies = _build_treated_copies(training[0], str(remedy), low, high, seed)
        profile = pd.concat(
            [_compute_quartiles(images, who) for who, images in measured.items()], axis=1
        )
        table = profile.dropna().rename_axis("attribute").reset_index()
        n = {who: len(images) for who, images in measured.items()}
        yield AugmentationPreview(
            str(name), str(remedy), str(chosen["image_id"].iloc[0]), copies, table, n, drawn
        )


def run(
    config: Config, context: StageContext, **artifacts: Unpack[ReportArtifacts]
) -> StageOutputs:
    """Write the page and its tables into `html`, and build `summary`."""
    images = ThumbnailStore(
        artifacts["pixels"], index_rows(artifacts["images"]["image_id"]), config.image_mode
    )
    page = ReportPage(
        artifacts,
        context.run_id,
        context.seed,
        images,
        context.run_facts,
        context.notes,
        config.contact_sheet_images,
        list(build_previews(artifacts, context.seed)),
        review_decisions.read_decisions(context.runs_folder).model_dump(mode="json"),
    )
    images.set_order(rank_informative_images(page))
    folder: Path = context.scratch_folder / "html"
    folder.mkdir(parents=True, exist_ok=True)
    html = render_within_limit(page, list_sections(), config.max_bytes)
    size = len(html.encode())
    if size > config.max_bytes:
        context.add_note(
            f"the page takes {size:,} bytes even without images, more than report.max_bytes allows"
        )
    (folder / "index.html").write_text(html, encoding="utf-8")
    table = build_image_table(page)
    table.to_parquet(folder / "images.parquet", index=False)
    select_failures(table).to_csv(folder / "failures.csv", index=False)
    artifacts["predictions"].to_parquet(folder / "predictions.parquet", index=False)
    return {"html": folder, "summary": build_summary(page)}
