"""`nightshift datasets check`: the check with measured attributes, as text, JSON and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import DecodedImage, luminance, sharpness
from pipeline.data.dataset_reader import find_adapter
from pipeline.data.quality.dataset_health import check_dataset
from pipeline.data.quality.health_limits import parse_health_limits
from pipeline.data.recognition.read_plan import ReadPlan, build_read_plan
from pipeline.engine import runner
from pipeline.engine.progress_reporting import create_tracker
from pipeline.report.health_page import render_health_section
from pipeline.report.page_rendering import RenderedSection, render_document
from pipeline.report.sentences.number_format import embed_json
from pipeline.stages.ingest import Config
from pipeline.storage.artifact_store import RunFolder


def _plan_reading(data: Path, config: Path | None) -> ReadPlan:
    """Return how to read `data`: by the config's ingest section, else as `init` would propose."""
    if config is None:
        return build_read_plan(data)
    ingest = runner.load_config(config).stages["ingest"]
    assert isinstance(ingest, Config)
    adapter = ingest.adapter or find_adapter(data, ingest.options)[0]
    return ReadPlan(
        adapter,
        ingest.options,
        ingest.group,
        ingest.time,
        ingest.split,
        group_pattern=ingest.group_pattern,
        is_split_ignored=ingest.given_split == "ignore",
        value_range=ingest.range,
    )


def _measure_pixels(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    image = DecodedImage(pixels, None, pixels.shape[1], pixels.shape[0])
    return luminance.measure(image), sharpness.measure(image)


def inspect_dataset(
    data: Path, limits: Sequence[str], config: Path | None = None, run: RunFolder | None = None
) -> dict[str, Any]:
    """Return the result of the check as JSON (see `pipeline.data.quality.dataset_health`).

    Args:
        data: the data set.
        limits: `KEY=VALUE` assignments of limits.
        config: a YAML file whose ingest section configures how to read `data`; None to infer it.
        run: a finished run, for suspected labels; None for none.

    Raises:
        InputError: a limit is invalid, or there is no image.
    """
    health_limits = parse_health_limits(limits)
    issues = (run.load_artifact("images"), run.load_artifact("label_issues")) if run else None
    return check_dataset(
        data,
        _plan_reading(data, config),
        _measure_pixels,
        health_limits,
        create_tracker("check"),
        issues,
    )


def write_health_page(page: Path, result: dict[str, Any]) -> None:
    """Write the result as one offline HTML file in the style of the report."""
    section = RenderedSection(
        "health", "Data quality", render_health_section(result), has_own_heading=True
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    html = render_document(
        "Data set check, Nightshift",
        result["data"],
        sections=[section],
        data=embed_json({"kind": "check"}),
    )
    page.write_text(html, encoding="utf-8")
