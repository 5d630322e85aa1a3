"""The report stage on planted artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts import Context, Dims
from pipeline.graph import ARTIFACTS, stage
from pipeline.stages import report
from tests.factory import planted


def needs(**kind: Any) -> dict[str, Any]:
    made, dims = planted(**kind), Dims()
    for name in stage("report").needs:
        ARTIFACTS[name].check(name, made[name], dims)
    return {name: made[name] for name in stage("report").needs}


def context(folder: Path) -> Context:
    facts = {
        "config": "name: demo\n",
        "versions": {"nightshift": "0.1.0"},
        "stages": [{"name": "train", "seconds": 12.0, "notes": ["a note"]}],
    }
    return Context("demo-1", 3, folder, folder, facts=facts)


def test_page_and_summary_keep_their_contracts(tmp_path: Path) -> None:
    made = report.run(report.Config(), context(tmp_path), **needs())
    for name in stage("report").makes:
        ARTIFACTS[name].check(name, made[name], {})
    html = (made["html"] / "index.html").read_text(encoding="utf-8")
    assert "demo-1" in html
    assert "A note." in html
    assert made["summary"]["run_id"] == "demo-1"


@pytest.mark.parametrize(
    "kind", [{"sealed": True}, {"promoted": False}, {"changed": False}, {"changed": False, "slices": False}]
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


def test_the_size_cap_holds_and_costs_photos(tmp_path: Path) -> None:
    photos = planted(photos=1600)
    inputs = {name: photos[name] for name in stage("report").needs}
    config = report.Config(max_bytes=200_000)
    page = report.run(config, context(tmp_path), **inputs)["html"] / "index.html"
    assert page.stat().st_size <= config.max_bytes
    assert "Showing" in page.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_small_enough_says_so(tmp_path: Path) -> None:
    inputs = needs()
    inputs["classes"] = {"names": inputs["classes"]["names"] + [f"absent {k}" * 20 for k in range(400)]}
    told = context(tmp_path)
    report.run(report.Config(max_bytes=200_000), told, **inputs)
    assert "more than report.max_bytes allows" in told.notes[0]


@pytest.mark.parametrize("photos", ["none", "blurred"])
def test_photos_may_be_left_out_or_blurred(tmp_path: Path, photos: Any) -> None:
    made = report.run(report.Config(photos=photos), context(tmp_path), **needs())
    html = (made["html"] / "index.html").read_text(encoding="utf-8")
    assert ("image/webp;base64,U" in html) == (photos == "blurred")
