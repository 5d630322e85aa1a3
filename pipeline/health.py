"""What `nightshift datasets check` does: the check, measured with the attributes, as text, JSON and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import runner
from pipeline.attributes import Shot
from pipeline.attributes.luminance import luminance
from pipeline.attributes.sharpness import sharpness
from pipeline.datasets.check import check
from pipeline.datasets.conditions import conditions
from pipeline.datasets.page import body
from pipeline.datasets.survey import Plan, plan_of
from pipeline.progress import tracker
from pipeline.sections.page import frame
from pipeline.sections.words import embed
from pipeline.stages.ingest import Config
from pipeline.store import Run


def _plan(data: Path, config: Path | None) -> Plan:
    """How to read `data`: as the config's ingest section says, else as init would."""
    if config is None:
        return plan_of(data)
    ingest = runner.configure(config).stages["ingest"]
    assert isinstance(ingest, Config)
    adapter = ingest.adapter or plan_of(data, ingest.links).adapter
    return Plan(adapter, ingest.options, ingest.group, ingest.time, ingest.split)


def _measure(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    shot = Shot(pixels, None, pixels.shape[1], pixels.shape[0])
    return luminance(shot), sharpness(shot)


def examine(data: Path, limits: Sequence[str], config: Path | None = None, run: Run | None = None) -> dict[str, Any]:
    """The result of the check as JSON (see `pipeline.datasets.check`). limits: `KEY=VALUE` over the conditions.

    config: a YAML whose ingest section says how `data` is read; run: a finished run, for suspected labels. Raises
    `InputError` for a limit that is none, and where there is no photo.
    """
    wanted = conditions(limits)
    issues = (run.load("images"), run.load("label_issues")) if run else None
    return check(data, _plan(data, config), _measure, wanted, tracker("check"), issues)


def write_page(page: Path, found: dict[str, Any]) -> None:
    """Write the result as one offline HTML file in the style of the report."""
    part = {"name": "health", "title": "The data", "own_heading": True, "body": body(found)}
    page.parent.mkdir(parents=True, exist_ok=True)
    html = frame("Data set check, Nightshift", found["data"], sections=[part], data=embed({"kind": "check"}))
    page.write_text(html, encoding="utf-8")
