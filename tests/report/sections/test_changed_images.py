import re
from typing import Any

import pytest

from pipeline.report.report_page import ReportPage
from pipeline.report.sections.changed_images import render
from tests.report.conftest import build_page


def test_fixed_and_broken_are_counted_and_shown(page: ReportPage) -> None:
    html, counts = str(render(page)), page["flips"]["change"].value_counts()
    assert f"fixed {counts['fixed']} images and broke {counts['broken']}" in html
    broken = html[html.index("Broken") : html.index("Fixed")]
    assert broken.count("<img") == min(counts["broken"], 12)
    assert 'href="#images?Change=still%20wrong"' in html


def test_the_first_fixed_images_come_from_many_groups(page: ReportPage) -> None:
    html = str(render(page))
    first = html[html.index("Fixed <span>") : html.index("Still wrong <span>")]
    shown = [
        list(page.thumbnails.positions)[int(p)] for p in re.findall(r'data-open="(\d+)"', first)
    ]
    groups = page.flips["group"][page.flips["change"] == "fixed"].nunique()
    assert len(shown) == 12
    assert page.flips["group"][shown].nunique() == min(groups, 12)


def test_past_the_size_limit_the_page_says_how_many_it_holds(made: dict[str, Any]) -> None:
    page = build_page(made, budget=60_000)
    stored = len(page.thumbnails.select_stored(page.flips.index))
    assert 0 < stored < len(page.flips)
    assert f"holds pictures of {stored} of {len(page.flips)} validation images" in render(page)


@pytest.mark.parametrize(
    ("mode", "text"), [("none", "omitted by the setting"), ("blurred", "blurred by the setting")]
)
def test_the_image_mode_is_stated(made: dict[str, Any], mode: Any, text: str) -> None:
    assert text in render(build_page(made, mode))


def test_without_retraining_the_misclassified_images_are_shown(quiet: dict[str, Any]) -> None:
    html = str(render(build_page(quiet)))
    assert "Misclassified <span>" in html
    assert "Broken" not in html
