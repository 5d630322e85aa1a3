import base64
import hashlib
import re
from typing import Any

import pytest
from markupsafe import Markup

from pipeline import plugins
from pipeline.report.page_rendering import (
    RenderedSection,
    render_document,
    render_page,
    render_sections,
)
from pipeline.report.page_templates import read_script, read_style
from pipeline.report.report_page import ReportPage
from pipeline.report.sections import list_sections
from tests.factory import planted
from tests.report.conftest import build_page

MAX_ASSET_BYTES = 60_000  # of style and script together, so that a page is mostly images


def test_the_sections_are_in_their_order(page: ReportPage) -> None:
    html = render_page(page, list_sections())
    absent = {
        "shortcut_marks",
        "weak_classes",
        "error_overview",
        "remedy_steps",
    }  # a run has no use for them
    expected = [name for name in list_sections() if name not in absent]
    assert re.findall(r'<section class="section" id="([^"]+)"', html) == expected
    tabs = re.findall(r'<div class="part" id="([^"]+)"', html)
    assert len(tabs) == 6
    links = re.findall(r'<li><a href="#([^"]+)"', html[: html.index("</nav>")])
    assert [link for link in links if link in tabs] == tabs
    assert [link for link in links if link not in tabs] == expected


def test_the_policy_allows_this_style_and_script_alone(page: ReportPage) -> None:
    html = render_page(page, ("gate_verdict",))
    policy = html[html.index("default-src") :].split('"')[0].replace("&#39;", "'")
    for tag, asset in (("style", read_style()), ("script", read_script("script.js"))):
        text = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert text == asset
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
    sizes = [len(text.encode()) for text in (read_style(), read_script("script.js"))]
    assert min(sizes) > 1000
    assert sum(sizes) < MAX_ASSET_BYTES


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
