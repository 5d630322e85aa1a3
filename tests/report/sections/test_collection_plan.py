from typing import Any

from pipeline.report.report_page import ReportPage
from pipeline.report.sections.collection_plan import render
from tests.report.conftest import build_page


def test_each_slice_says_what_is_at_hand_and_what_is_missing(page: ReportPage) -> None:
    html = str(render(page))
    assert html.count("about 11 more groups for validation (20 at hand)") == 4, "list and text"
    members = page.images.loc[page.slice_members["s1"]]
    count = int((members["label"] == "employee").sum())
    assert f"employee {count} images of" in html
    assert "by hour:" in html
    assert "nightshift run -c demo.yaml" in html
    assert html.count("<img") == 2


def test_without_slices_nothing_is_asked_for(quiet: dict[str, Any]) -> None:
    assert render(build_page(quiet)) == ""
