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


def test_unlabeled_images_are_counted_with_their_slice(page: ReportPage) -> None:
    page["policy"]["look_alikes"] = {
        "folder": "arrived/<b>",
        "images": 1200,
        "known": 3,
        "rejected": 0,
        "listed": {"s1": 40, "s2": 0},
    }
    html = str(render(page))
    assert html.count("40 unlabeled images look like its failures") == 2, "list and text"
    assert "1,200 unlabeled images of arrived/&lt;b&gt; were compared" in html
    assert "3 already in the data set" in html
    page["policy"].pop("look_alikes")
    assert "unlabeled" not in str(render(page))
