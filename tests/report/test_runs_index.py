import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from PIL import Image

from pipeline.report.report_page import ReportPage
from pipeline.report.run_summary import build_summary
from pipeline.report.runs_index import render_runs_index
from tests.factory import HOSTILE
from tests.report.conftest import build_page, list_axe_violations


def test_every_run_is_listed_in_order_with_a_relative_link(
    page: ReportPage, quiet: dict[str, Any]
) -> None:
    newest, older = build_summary(page), build_summary(build_page(quiet)) | {"run_id": "older"}
    html = render_runs_index([newest, older])
    assert re.findall(r'href="([^"]*/index\.html)"', html) == [
        "demo-1/index.html",
        "older/index.html",
    ]
    accuracy = newest["metrics"]["test"]["accuracy"]
    assert f"{100 * accuracy['before']['value']:.1f}" in html
    assert f"{100 * accuracy['after']['value']:.1f}" in html
    assert "Too dark, luminance at most 62.4, taken from 20:30 to 05:30" in html
    assert escape(older["verdict"]["plain"]) in html
    assert "Slice trends: 1 back, 1 not assessable" in html


def test_without_runs_the_page_says_so() -> None:
    assert "No run has a report yet" in render_runs_index([])


@pytest.mark.parametrize(
    "broken",
    [
        {},
        None,
        [],
        "x",
        {"run_id": "x"},
        {"run_id": "x", "verdict": 3},
        {"run_id": "..", "verdict": {"promoted": True}},
    ],
)
def test_a_broken_summary_hides_no_other(broken: Any, page: ReportPage) -> None:
    html = render_runs_index([broken, build_summary(page)])
    assert html.count("Unreadable") == 1
    assert 'href="demo-1/index.html"' in html


def test_an_incomplete_summary_shows_what_it_has() -> None:
    incomplete = {
        "run_id": "r",
        "verdict": {"promoted": False},
        "metrics": {"val": {"accuracy": {"before": {"value": "?"}}}},
    }
    html = render_runs_index(
        [incomplete | {"slices": [{"words": None, "status": "confirmed"}, 5], "followed": [5, {}]}]
    )
    assert "Refused" in html
    assert "Accuracy" not in html


@pytest.mark.browser
def test_hostile_run_names_are_text(visit: Callable[..., Any]) -> None:
    summaries = [
        {"run_id": name, "verdict": {"promoted": True, "headline": name}} for name in HOSTILE
    ]
    tab = visit(render_runs_index(summaries), width=400)
    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    assert tab.locator("li h2 a").count() == len(HOSTILE)


def test_runs_of_one_name_have_a_trend_and_runs_of_two_names_share_none(page: ReportPage) -> None:
    named = [
        f"2026030{day}-224001-{name}"
        for day, name in ((4, "gate"), (3, "signs"), (2, "gate-2"), (1, "gate"))
    ]
    runs = [build_summary(page) | {"run_id": run_id} for run_id in named]
    html = render_runs_index(runs)
    assert (
        html.count("Accuracy on validation, run by run")
        == html.count("Confirmed slices, run by run")
        == 1
    )
    points = html.split("Confirmed slices, run by run")[1].split("</svg>")[0].count("<circle")
    assert points == 3  # the run gate-2 is the second one of a second
    assert '<h2><bdi class="lines">gate</bdi></h2>' in html
    assert html.count("Error rate of ") == len(runs[0]["followed"])
    assert "run by run" not in render_runs_index(runs[:2])


def test_the_latest_run_is_compared_with_the_one_of_its_name_before_it(page: ReportPage) -> None:
    named = [
        f"2026030{day}-224001-{name}" for day, name in ((4, "gate"), (3, "signs"), (2, "gate"))
    ]
    html = render_runs_index([build_summary(page) | {"run_id": run_id} for run_id in named])
    chosen = re.findall(r"<option value=\"(\d)\" selected>", html)
    assert chosen == ["2", "0"]


@pytest.mark.browser
def test_any_two_runs_are_compared(
    page: ReportPage, quiet: dict[str, Any], visit: Callable[..., Any]
) -> None:
    newest, older = build_summary(page), build_summary(build_page(quiet)) | {"run_id": "older"}
    tab = visit(render_runs_index([newest, older, older | {"run_id": HOSTILE[0]}]), width=400)
    assert tab.locator("#compared table").count() == 0
    tab.get_by_text("Compare two runs").click()
    tab.locator("#compared table").wait_for()
    text = tab.locator("#compared").inner_text()
    before = newest["metrics"]["val"]["accuracy"]["before"]["value"]
    assert f"{100 * before:.1f}\u202f%" in text
    assert "Error rate, Too dark, luminance at most 62.4, taken from 20:30 to 05:30: before" in text
    tab.get_by_label("Second").select_option(label=HOSTILE[0])
    assert HOSTILE[0] in tab.locator("#compared").inner_text()
    assert tab.evaluate("window.hacked") is None
    assert list_axe_violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    assert tab.locator("#compared").evaluate("e => e.scrollWidth <= e.clientWidth")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_list_is_accessible(
    page: ReportPage, quiet: dict[str, Any], visit: Callable[..., Any], scheme: str
) -> None:
    runs = [build_summary(page), build_summary(build_page(quiet)), {"run_id": "damaged"}]
    tab = visit(render_runs_index(runs), width=400, scheme=scheme)
    assert list_axe_violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.browser
def test_runs_are_filtered_by_the_name_in_the_address(
    page: ReportPage, visit: Callable[..., Any]
) -> None:
    named = ["20260304-224001-gate", "20260303-224001-signs", "20260302-224001-gate"]
    html = render_runs_index([build_summary(page) | {"run_id": run_id} for run_id in named])
    tab = visit(html, anchor="#name=gate")
    assert tab.locator("li:visible").count() == 2
    tab.get_by_label("Config").select_option("signs")
    assert tab.locator("li:visible").count() == 1
    assert tab.evaluate("location.hash") == "#name=signs"
    tab.get_by_label("Config").select_option("")
    assert tab.locator("li:visible").count() == 3


@pytest.mark.browser
def test_two_runs_show_their_images_side_by_side(
    page: ReportPage, browser: Any, tmp_path: Path
) -> None:
    pictures = {}
    for run_id in ("a b", "c"):
        folder = tmp_path / run_id
        folder.mkdir()
        Image.new("RGB", (40, 20), "red").save(folder / "s1_images.png")
        pictures[run_id] = ["s1_images.png"]
    summaries = [build_summary(page) | {"run_id": run_id} for run_id in pictures]
    (tmp_path / "index.html").write_text(render_runs_index(summaries, pictures))
    tab = browser.new_page()
    tab.goto((tmp_path / "index.html").as_uri())
    tab.get_by_text("Compare two runs").click()
    images = tab.locator("#compared tr", has_text="Images, Too dark").locator("img")
    images.last.wait_for(state="attached")  # the table is drawn after the click
    assert images.count() == 2
    for image in images.all():
        image.scroll_into_view_if_needed()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 40
    assert list_axe_violations(tab) == []
    tab.close()


def test_the_list_stays_small() -> None:
    assert len(render_runs_index([])) < 8_000
