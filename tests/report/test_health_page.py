"""The HTML of a check: pipeline/report/health_page.py."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from pipeline.data.quality.dataset_health import check_dataset
from pipeline.data.quality.health_limits import parse_health_limits
from pipeline.data.reading.config_proposal import build_read_plan
from pipeline.report.health_page import render_health_section


def test_hostile_names_are_escaped_and_every_part_is_there(tmp_path: Path) -> None:
    for n, name in enumerate(("<script>alert(1)<", "b'\"&", "plain")):
        (tmp_path / name).mkdir()
        Image.new("RGB", (30 + n, 30), (n, 9, 9)).save(tmp_path / name / "<img src=x>.png")
    (tmp_path / "plain" / "<b>.jpg").touch()
    found = check_dataset(
        tmp_path, build_read_plan(tmp_path), lambda pixels: (9.0, 2.0), parse_health_limits([])
    )
    html = render_health_section(found)
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;" in html
    for part in (
        "Conditions",
        "Set aside",
        "Classes and splits",
        "Copies and leaks",
        "Sizes and storage",
        "Hours",
    ):
        assert f'<h2 class="sub">{part}</h2>' in html
    assert "empty file" in html
    assert "100.0%" in html
    assert "not sought among all images" not in html
    assert "not sought among all images" in render_health_section(found | {"near_sought": False})
