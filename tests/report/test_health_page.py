"""The HTML of a data set check: pipeline/report/health_page.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.data.quality.dataset_health import check_dataset
from pipeline.data.quality.health_limits import parse_health_limits
from pipeline.data.recognition.read_plan import build_read_plan
from pipeline.report.health_page import render_health_section


@pytest.fixture
def health(tmp_path: Path) -> dict[str, Any]:
    """The check of three images and an empty file with HTML in their names."""
    for number, name in enumerate(("<script>alert(1)<", "b'\"&", "plain")):
        (tmp_path / name).mkdir()
        image = Image.new("RGB", (30 + number, 30), (number, 9, 9))
        image.save(tmp_path / name / "<img src=x>.png")
    (tmp_path / "plain" / "<b>.jpg").touch()
    plan = build_read_plan(tmp_path)
    return check_dataset(tmp_path, plan, lambda pixels: (9.0, 2.0), parse_health_limits([]))


def test_hostile_names_are_escaped(health: dict[str, Any]) -> None:
    html = render_health_section(health)
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;" in html


def test_page_shows_every_finding(health: dict[str, Any]) -> None:
    html = render_health_section(health)
    for heading in ("Conditions", "Rejected", "Classes and splits", "Copies and leaks"):
        assert f'<h2 class="sub">{heading}</h2>' in html
    failed = sum(not condition["passed"] for condition in health["conditions"])
    assert html.count(">failed<") == failed > 0
    assert "empty file" in html
    assert "100.0%" in html  # of the images of each class are dark


def test_incomplete_duplicate_search_is_reported(health: dict[str, Any]) -> None:
    assert "is not complete" not in render_health_section(health)
    incomplete = health | {"is_duplicate_search_complete": False}
    assert "is not complete" in render_health_section(incomplete)
