from typing import Any

from pipeline.domain.statuses import DriftObstacle
from pipeline.report.report_page import ReportPage
from pipeline.report.sections.traffic_drift import render
from tests.factory import planted
from tests.report.conftest import build_page


def test_arrived_images_have_conditions_slices_and_attributes(page: ReportPage) -> None:
    html = render(page)
    drift = page["drift"]
    assert f"{drift['images']} newly arrived images" in html
    assert "champion-0" in html
    failed = [c for c in drift["conditions"] if not c["passed"]]
    assert {c["name"] for c in failed} >= {"max_psi", "max_slice_rise"}, (
        "planted: nights in test, none in train"
    )
    assert html.count('<b class="no">failed</b>') == len(failed)
    assert "Luminance</th>" in html
    assert "luminance ≤ 62.4" in html
    assert 'aria-label="luminance: share of training, validation and arrived images' in html
    assert "Dark<small>luminance" in html, "darker than any in training"


def test_without_a_champion_there_is_no_section_and_without_images_one_line(
    made: dict[str, Any],
) -> None:
    nothing = {"images": 0, "slices": [], "attributes": [], "new": [], "conditions": []}
    gone = build_page(
        {**made, "drift": {**nothing, "champion": None, "reason": DriftObstacle.NO_CHAMPION}}
    )
    assert render(gone) == ""
    quiet = render(
        build_page(
            {**made, "drift": {**nothing, "champion": "c", "reason": DriftObstacle.NO_NEW_IMAGE}}
        )
    )
    assert "no image arrived" in quiet
    assert "<table" not in quiet


def test_hostile_words_are_escaped() -> None:
    html = render(build_page(planted(hostile=True)))
    assert "<script>" not in html
    assert "&lt;script&gt;window.hacked=1" in html
