"""The page and its summary: pipeline/stages/report.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.contracts import DimensionSizes, StageContext
from pipeline.graph import ARTIFACT_CONTRACTS, get_stage
from pipeline.stages import report
from pipeline.storage.review_decisions import apply_review_file
from tests.factory import planted


def _collect_needs(**options: Any) -> dict[str, Any]:
    """Return the needs of the stage, checked against their contracts."""
    artifacts = planted(**options)
    dimensions: DimensionSizes = {}
    needs = {name: artifacts[name] for name in get_stage("report").needs}
    for name, value in needs.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, dimensions)
    return needs


def _make_context(folder: Path) -> StageContext:
    facts = {
        "config": "name: demo\n",
        "versions": {"nightshift": "0.1.0"},
        "stages": [{"name": "train", "seconds": 12.0, "notes": ["a note"]}],
    }
    folder.mkdir(exist_ok=True)
    return StageContext("demo-1", 3, folder, folder, run_facts=facts)


def _read_page(made: dict[str, Any]) -> str:
    page: Path = made["html"] / "index.html"
    return page.read_text(encoding="utf-8")


def test_page_tables_and_summary_keep_their_contracts(tmp_path: Path) -> None:
    needs = _collect_needs()
    made = report.run(report.Config(), _make_context(tmp_path), **needs)
    for name in get_stage("report").makes:
        ARTIFACT_CONTRACTS[name].check_value(name, made[name], {})
    html = _read_page(made)
    assert "demo-1" in html
    assert "A note." in html
    assert made["summary"]["run_id"] == "demo-1"
    predictions = pd.read_parquet(made["html"] / "predictions.parquet")
    assert len(predictions) == len(needs["predictions"])
    failures = pd.read_csv(made["html"] / "failures.csv")
    assert 0 < len(failures) < len(pd.read_parquet(made["html"] / "images.parquet"))


@pytest.mark.parametrize(
    "options",
    [
        {"sealed": True},
        {"promoted": False},
        {"changed": False},
        {"changed": False, "slices": False},
    ],
)
def test_every_outcome_has_a_page(tmp_path: Path, options: dict[str, bool]) -> None:
    made = report.run(report.Config(), _make_context(tmp_path), **_collect_needs(**options))
    assert made["summary"]["verdict"]["promoted"] is False


def test_the_same_artifacts_give_the_same_bytes(tmp_path: Path) -> None:
    pages = []
    summaries = []
    for name in ("one", "two"):
        made = report.run(report.Config(), _make_context(tmp_path / name), **_collect_needs())
        pages.append(_read_page(made))
        summaries.append(made["summary"])
    assert pages[0] == pages[1]
    assert summaries[0] == summaries[1]


def test_the_size_limit_holds_and_costs_images(tmp_path: Path) -> None:
    config = report.Config(max_bytes=300_000)
    made = report.run(config, _make_context(tmp_path), **_collect_needs(images=1600))
    assert (made["html"] / "index.html").stat().st_size <= config.max_bytes
    assert "Showing" in _read_page(made)


def test_a_page_above_the_limit_without_images_is_noted(tmp_path: Path) -> None:
    needs = _collect_needs()
    absent = [f"absent {number}" * 20 for number in range(400)]
    needs["classes"] = {"names": needs["classes"]["names"] + absent}
    context = _make_context(tmp_path)
    report.run(report.Config(max_bytes=300_000), context, **needs)
    assert "more than report.max_bytes allows" in context.notes[0]


@pytest.mark.parametrize("mode", ["none", "blurred"])
def test_images_may_be_left_out_or_blurred(tmp_path: Path, mode: Any) -> None:
    config = report.Config(image_mode=mode)
    html = _read_page(report.run(config, _make_context(tmp_path), **_collect_needs()))
    assert ("image/webp;base64,U" in html) == (mode == "blurred")


def test_the_fingerprint_follows_the_reviewers(tmp_path: Path) -> None:
    run_path = tmp_path / "run"
    before = report.fingerprint_external_inputs(report.Config(), run_path, None)
    labels = [{"image_id": "i0", "decision": "wrong"}]
    review = {"review": 1, "run_id": "run", "labels": labels}
    (tmp_path / "saved.json").write_text(json.dumps(review))
    apply_review_file(tmp_path, tmp_path / "saved.json")
    assert report.fingerprint_external_inputs(report.Config(), run_path, before) != before
