import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

import pipeline.report.report_page
from pipeline import plugins
from pipeline.report.page_rendering import IMAGE_COLUMNS, build_payload, read_asset, render_page
from pipeline.report.report_page import ReportPage
from tests.factory import planted
from tests.report.conftest import build_page


def test_every_section_stands_in_its_order(page: ReportPage) -> None:
    html = render_page(page, plugins.list_plugins("sections"))
    there = tuple(
        name for name in plugins.list_plugins("sections") if name != "shortcuts"
    )  # these images bear no mark
    assert tuple(re.findall(r'<section class="part" id="([^"]+)"', html)) == there


def test_the_policy_lets_in_this_style_and_script_alone(page: ReportPage) -> None:
    html = render_page(page, ("verdict",))
    policy = html[html.index("default-src") :].split('"')[0].replace("&#39;", "'")
    for tag, name in (("style", "style.css"), ("script", "script.js")):
        text = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert text == read_asset(name)
    assert "default-src 'none'; img-src data:;" in policy
    assert "unsafe" not in policy


def test_nothing_is_inline_that_the_policy_forbids_and_nothing_leads_outside(
    page: ReportPage,
) -> None:
    html = render_page(page, plugins.list_plugins("sections"))
    markup = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", html, flags=re.S)
    assert not re.search(r"\sstyle=|\son\w+=", markup)
    assert set(re.findall(r'(?:href|src)="([^"#]*?)["#]', markup)) <= {
        *("", "data:,", "../index.html"),
        *(
            "failures.csv",
            "images.parquet",
            "predictions.parquet",
            "summary.json",
        ),  # beside the page
    } | {s for s in re.findall(r'src="([^"]*)"', markup) if s.startswith("data:image/webp")}
    assert "http:" not in html
    assert "https:" not in html
    assert "/secret/" not in html


def test_style_and_script_stay_small() -> None:
    folder = Path(pipeline.sections.__file__).parent
    assert sum(p.stat().st_size for p in folder.iterdir() if p.suffix in (".css", ".js")) < 60_000


def test_the_data_hold_each_image_once_and_rows_that_match_the_columns(page: ReportPage) -> None:
    html = render_page(page, plugins.list_plugins("sections"))
    data = json.loads(
        re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[0]
    )
    assert data["columns"] == list(IMAGE_COLUMNS)
    assert {len(row) for row in data["images"]} == {len(IMAGE_COLUMNS)}
    inline = {int(p) for p in re.findall(r'<img data-p="(\d+)" src=', html)}
    assert inline == {k for k, code in enumerate(data["thumbs"]) if code is None}
    first = next(iter(page.thumbnails.positions))
    row = dict(zip(IMAGE_COLUMNS, data["images"][0], strict=True))
    assert data["classes"][row["before"]] == page.flips_by_image[first]["before"]


def test_a_image_outside_val_has_no_answer(page: ReportPage) -> None:
    train = page["label_issues"]["image_id"].iloc[1]
    row = build_payload(page)["images"][page.thumbnails.positions[train]]
    assert row[IMAGE_COLUMNS.index("before")] == -1
    assert row[IMAGE_COLUMNS.index("p_before")] is None


def test_hostile_names_are_text() -> None:
    html = render_page(build_page(planted(hostile=True)), plugins.list_plugins("sections"))
    assert len(re.findall(r"<script", html)) == 2
    assert "<img src=x" not in html
    assert "{{" in html
    assert "49 $" not in html


def test_an_outsiders_section_needs_no_title(
    page: ReportPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Outside:
        @staticmethod
        def hours_of_day(page: ReportPage) -> Markup:
            return Markup("<p>{}</p>").format("<here>")

    monkeypatch.setattr(plugins, "load_plugin_module", lambda kind, name: Outside)
    html = render_page(page, ("hours_of_day",))
    assert "Hours of day</h2>" in html
    assert "<p>&lt;here&gt;</p>" in html


def test_an_empty_section_is_left_out(made: dict[str, Any]) -> None:
    html = render_page(
        build_page(made | {"flips": made["flips"].iloc[:0], "answers": made["answers"][:0]}),
        ("confusion", "identity"),
    )
    assert 'id="confusion"' not in html
