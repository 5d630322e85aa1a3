import base64
import hashlib
import json
import re
from typing import Any

import pytest
from markupsafe import Markup

from pipeline import plugins
from pipeline.report.page_rendering import (
    IMAGE_COLUMNS,
    RenderedSection,
    build_payload,
    render_document,
    render_page,
    render_sections,
)
from pipeline.report.page_templates import ASSET_FOLDER, read_asset
from pipeline.report.report_page import ReportPage
from pipeline.report.sections import list_sections
from tests.factory import planted
from tests.report.conftest import build_page

MAX_ASSET_BYTES = 60_000  # of style and script together, so that a page is mostly images


def test_the_sections_are_in_their_order(page: ReportPage) -> None:
    html = render_page(page, list_sections())
    expected = [name for name in list_sections() if name != "shortcut_marks"]  # there are no marks
    assert re.findall(r'<section class="section" id="([^"]+)"', html) == expected
    tabs = re.findall(r'<div class="part" id="([^"]+)"', html)
    assert len(tabs) == 6
    links = re.findall(r'<li><a href="#([^"]+)"', html[: html.index("</nav>")])
    assert [link for link in links if link in tabs] == tabs
    assert [link for link in links if link not in tabs] == expected


def test_the_policy_allows_this_style_and_script_alone(page: ReportPage) -> None:
    html = render_page(page, ("gate_verdict",))
    policy = html[html.index("default-src") :].split('"')[0].replace("&#39;", "'")
    for tag, name in (("style", "style.css"), ("script", "script.js")):
        text = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert text == read_asset(name)
    assert "default-src 'none'; img-src data:;" in policy
    assert "unsafe" not in policy


def test_the_page_has_no_inline_code_and_no_external_link(page: ReportPage) -> None:
    html = render_page(page, list_sections())
    markup = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", html, flags=re.S)
    assert not re.search(r"\sstyle=|\son\w+=", markup)
    links = set(re.findall(r'(?:href|src)="([^"#]*?)["#]', markup))
    downloads = {"failures.csv", "images.parquet", "predictions.parquet", "summary.json"}
    external = {link for link in links if not link.startswith("data:")}
    assert external == {"", "../index.html", *downloads}
    assert "http:" not in html
    assert "https:" not in html
    assert "/secret/" not in html


def test_style_and_script_stay_small() -> None:
    sizes = [(ASSET_FOLDER / name).stat().st_size for name in ("style.css", "script.js")]
    assert min(sizes) > 1000
    assert sum(sizes) < MAX_ASSET_BYTES


def test_the_data_hold_each_image_once_in_rows_of_the_columns(page: ReportPage) -> None:
    html = render_page(page, list_sections())
    script = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    data = json.loads(script[0])
    assert data["columns"] == list(IMAGE_COLUMNS)
    assert {len(row) for row in data["images"]} == {len(IMAGE_COLUMNS)}
    inline = {int(k) for k in re.findall(r'<img data-p="(\d+)" src=', html)}
    assert inline == {k for k, code in enumerate(data["thumbnails"]) if code is None}
    first = next(iter(page.thumbnails.positions))
    row = dict(zip(IMAGE_COLUMNS, data["images"][0], strict=True))
    flip = page.flips_by_image[first]
    assert data["classes"][row["before"]] == flip["before"]
    assert row["p_before"] == pytest.approx(flip["p_before"], abs=1e-4)
    assert row["captured_at"] == f"{page.images.loc[first, 'captured_at']:%Y-%m-%d %H:%M}"


def test_an_image_outside_validation_has_no_prediction(page: ReportPage) -> None:
    train = page["label_issues"]["image_id"].iloc[1]
    row = build_payload(page)["images"][page.thumbnails.positions[train]]
    assert row[IMAGE_COLUMNS.index("before")] == -1
    assert row[IMAGE_COLUMNS.index("p_before")] is None
    assert row[IMAGE_COLUMNS.index("change")] == ""


def test_the_cells_of_many_classes_sum_up_to_the_images() -> None:
    page = build_page(planted(43, 900))
    cells = build_payload(page)["cells"]
    assert sum(before for _, _, before, _ in cells) == len(page.flips)
    assert sum(after for _, _, _, after in cells) == len(page.flips)


def test_hostile_names_are_text() -> None:
    html = render_page(build_page(planted(hostile=True)), list_sections())
    assert len(re.findall(r"<script", html)) == 2
    assert "<img src=x" not in html
    assert "{{" in html
    assert "49 $" not in html


def test_an_external_section_needs_no_title(
    page: ReportPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    class HoursOfDay:
        @staticmethod
        def render(page: ReportPage) -> Markup:
            return Markup("<p>{}</p>").format("<here>")

    monkeypatch.setattr(plugins, "load_plugin", lambda kind, name: HoursOfDay)
    sections = render_sections(page, ("hours_of_day",))
    assert sections == [
        RenderedSection(
            "hours_of_day", "Hours of day", Markup("<p>&lt;here&gt;</p>"), tab="Details"
        )
    ]


def test_the_heading_is_printed_once() -> None:
    own = RenderedSection("a", "First", Markup("<h1>First</h1>"), has_own_heading=True)
    html = render_document(
        "Title", "run", sections=[own, RenderedSection("b", "Second", Markup("text"))]
    )
    assert "<h2" in html
    assert 'id="h-a"' not in html
    assert '<h2 id="h-b">Second</h2>' in html


def test_an_empty_section_is_left_out(made: dict[str, Any]) -> None:
    empty = made | {"flips": made["flips"].iloc[:0], "answers": made["answers"][:0]}
    sections = render_sections(build_page(empty), ("confusion_matrix", "run_details"))
    assert [section.name for section in sections] == ["run_details"]
