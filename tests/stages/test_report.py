"""The report stage on planted artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts import DimensionSizes, StageContext
from pipeline.graph import ARTIFACT_CONTRACTS, get_stage
from pipeline.stages import report
from tests.factory import planted


def needs(**kind: Any) -> dict[str, Any]:
    made, dims = planted(**kind), DimensionSizes()
    for name in get_stage("report").needs:
        ARTIFACT_CONTRACTS[name].check_value(name, made[name], dims)
    return {name: made[name] for name in get_stage("report").needs}


def context(folder: Path) -> StageContext:
    facts = {
        "config": "name: demo\n",
        "versions": {"nightshift": "0.1.0"},
        "stages": [{"name": "train", "seconds": 12.0, "notes": ["a note"]}],
    }
    return StageContext("demo-1", 3, folder, folder, run_facts=facts)


def test_page_and_summary_keep_their_contracts(tmp_path: Path) -> None:
    made = report.run(report.Config(), context(tmp_path), **needs())
    for name in get_stage("report").makes:
        ARTIFACT_CONTRACTS[name].check_value(name, made[name], {})
    html = (made["html"] / "index.html").read_text(encoding="utf-8")
    assert "demo-1" in html
    assert "A note." in html
    assert made["summary"]["run_id"] == "demo-1"


@pytest.mark.parametrize(
    "kind",
    [
        {"sealed": True},
        {"promoted": False},
        {"changed": False},
        {"changed": False, "slices": False},
    ],
)
def test_every_ending_has_its_page(tmp_path: Path, kind: dict[str, bool]) -> None:
    made = report.run(report.Config(), context(tmp_path), **needs(**kind))
    assert made["summary"]["verdict"]["promoted"] is False


def test_the_same_artifacts_give_the_same_bytes(tmp_path: Path) -> None:
    pages, summaries = [], []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made = report.run(report.Config(), context(tmp_path / name), **needs())
        pages.append((made["html"] / "index.html").read_bytes())
        summaries.append(made["summary"])
    assert pages[0] == pages[1]
    assert summaries[0] == summaries[1]


def test_the_size_cap_holds_and_costs_images(tmp_path: Path) -> None:
    images = planted(images=1600)
    inputs = {name: images[name] for name in get_stage("report").needs}
    config = report.Config(max_bytes=200_000)
    page = report.run(config, context(tmp_path), **inputs)["html"] / "index.html"
    assert page.stat().st_size <= config.max_bytes
    assert "Showing" in page.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_small_enough_says_so(tmp_path: Path) -> None:
    inputs = needs()
    inputs["classes"] = {
        "names": inputs["classes"]["names"] + [f"absent {k}" * 20 for k in range(400)]
    }
    told = context(tmp_path)
    report.run(report.Config(max_bytes=200_000), told, **inputs)
    assert "more than report.max_bytes allows" in told.notes[0]


@pytest.mark.parametrize("images", ["none", "blurred"])
def test_images_may_be_left_out_or_blurred(tmp_path: Path, images: Any) -> None:
    made = report.run(report.Config(image_mode=images), context(tmp_path), **needs())
    html = (made["html"] / "index.html").read_text(encoding="utf-8")
    assert ("image/webp;base64,U" in html) == (images == "blurred")
